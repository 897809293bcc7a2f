/** The stages of a job as a flow from left to right: those that ran, the one that runs, those to come. */

import { ask } from "../api";
import { count, duration } from "../format";
import { useOnce } from "../polling";
import { replaceQuery } from "../routes";
import { ENDED, type JobStatus, type JobType, type Stage } from "../types";
import { Badge, TaskBar } from "../ui/parts";

export function StageFlow({ job }: { job: JobStatus }) {
  const types = useOnce("types", (signal) => ask<{ job_types: JobType[] }>("jobs/types", { signal }));
  const all = types.value?.job_types.find((type) => type.job_type === job.job_type)?.stages ?? [];
  const planned = new Map(job.stages.map((stage) => [stage.stage, stage]));
  return (
    <section aria-label="Stages">
      <ol class="flow">
        {Array.from({ length: job.total_stages }, (_, n) => {
          const stage = planned.get(n + 1);
          const about = all[n];
          return (
            <li key={n} class={stage ? `step s-${stage.status}` : "step to-come"}>
              <span class="step-number">{n + 1}</span>
              {stage ? (
                <Planned stage={stage} told={job.error} />
              ) : (
                <ToCome
                  name={about?.key ?? "…"}
                  type={about?.task_type ?? ""}
                  says={ENDED.has(job.status) ? "not reached" : "not planned yet"}
                />
              )}
            </li>
          );
        })}
      </ol>
    </section>
  );
}

/** `told`: the job's error, which is above the stages already. */
function Planned({ stage, told }: { stage: Stage; told: string | null }) {
  const { progress } = stage;
  return (
    <button
      type="button"
      class="step-body"
      title="Show the tasks of this stage"
      onClick={() => replaceQuery({ tab: "tasks", stage: String(stage.stage) })}
    >
      <span class="step-name">{stage.stage_key}</span>
      <Badge state={stage.status} />
      <TaskBar progress={progress} thin />
      <span class="step-figures">
        {count(progress.completed)}/{count(stage.task_count)}
        {progress.failed > 0 && <b class="t-failed"> · {count(progress.failed)} failed</b>}
        {progress.processing > 0 && <span> · {count(progress.processing)} run</span>}
        <span class="faint"> · {duration(stage.duration_seconds)}</span>
      </span>
      {stage.error && stage.error !== told && <span class="error-line">{stage.error}</span>}
    </button>
  );
}

function ToCome({ name, type, says }: { name: string; type: string; says: string }) {
  return (
    <span class="step-body">
      <span class="step-name">{name}</span>
      <span class="faint">{type}</span>
      <span class="faint">{says}</span>
    </span>
  );
}
