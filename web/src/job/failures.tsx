/** Failed tasks by what their errors have in common. */

import { ask } from "../api";
import { count, plural } from "../format";
import { usePolled } from "../polling";
import { ENDED, type Failures } from "../types";
import { Empty, ErrorNote, Loading, When } from "../ui/parts";
import type { JobPart } from "./job";

export function FailuresView({ job, version, open }: JobPart) {
  const key = `failures ${job.job_id} ${job.run} ${ENDED.has(job.status) ? version : ""}`;
  const found = usePolled(key, (signal) => ask<Failures>(`jobs/${job.job_id}/failures?run=${job.run}`, { signal }), {
    every: 4000,
    live: () => !ENDED.has(job.status),
  });
  if (found.error) return <ErrorNote error={found.error} retry={found.refresh} />;
  if (!found.value) return <Loading what="failures" />;
  const { groups, failed, complete } = found.value;
  if (groups.length === 0) return <Empty>No task of this run has failed.</Empty>;
  return (
    <>
      <p class="faint">
        {plural(failed, "failed task")} in {plural(groups.length, "group")}
        {!complete && "; there are more than are shown"}. Numbers, quoted text and paths do not tell groups apart.
      </p>
      <ul class="groups">
        {groups.map((group) => (
          <li key={`${group.stage} ${group.pattern}`}>
            <div class="group-count">
              <b>{count(group.tasks)}</b>
              <span>{group.tasks === 1 ? "task" : "tasks"}</span>
            </div>
            <div class="group-body">
              <p class="group-error">{group.error}</p>
              <p class="faint">
                stage {group.stage} · {group.stage_key} · {group.task_type} · up to{" "}
                {plural(group.most_attempts, "attempt")} · last <When at={group.last_at} />
              </p>
              <p class="buttons">
                {group.task_indexes.map((index) => (
                  <button
                    key={index}
                    type="button"
                    class="quiet small"
                    onClick={() => open({ stage: group.stage, index })}
                  >
                    task {index}
                  </button>
                ))}
                {group.tasks > group.task_indexes.length && (
                  <span class="faint">and {count(group.tasks - group.task_indexes.length)} more</span>
                )}
              </p>
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}
