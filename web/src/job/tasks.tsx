/** The tasks of a run as a table. */

import { ask, query as queryOf } from "../api";
import { duration } from "../format";
import { replaceQuery } from "../routes";
import { ENDED, TASK_STATES, type Task } from "../types";
import { Badge, Empty, ErrorNote, Loading } from "../ui/parts";
import { Pager } from "../ui/pager";
import { usePages } from "../ui/paged";
import type { JobPart } from "./job";

interface Listing {
  tasks: Task[];
  links: { next: string | null };
}

export function TasksView({ job, version, open, query }: JobPart & { query: URLSearchParams }) {
  const stage = query.get("stage") ?? "";
  const status = query.get("status") ?? "";
  const live = !ENDED.has(job.status);
  const first = `db/tasks/${job.job_id}${queryOf({ run: job.run, stage, status, limit: 100 })}`;
  const paged = usePages<Listing>(
    first,
    (path, signal) => ask(path, { signal }),
    (value) => value.links.next,
    live ? 3000 : null,
    version,
  );
  const change = (changed: { stage?: string; status?: string }) =>
    replaceQuery({ tab: "tasks", stage, status, run: query.get("run") ?? undefined, ...changed });
  const tasks = paged.page.value?.tasks ?? [];
  return (
    <>
      <div class="filters inner">
        <label class="field">
          <span>Stage</span>
          <select value={stage} onChange={(event) => change({ stage: event.currentTarget.value })}>
            <option value="">all stages</option>
            {job.stages.map((one) => (
              <option key={one.stage} value={String(one.stage)}>
                {one.stage} · {one.stage_key}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>State</span>
          <select value={status} onChange={(event) => change({ status: event.currentTarget.value })}>
            <option value="">all states</option>
            {TASK_STATES.map((state) => (
              <option key={state} value={state}>
                {state}
              </option>
            ))}
          </select>
        </label>
      </div>
      {paged.page.error && <ErrorNote error={paged.page.error} retry={paged.page.refresh} />}
      {paged.page.loading && <Loading what="tasks" />}
      {paged.page.value && tasks.length === 0 && <Empty>No task fits.</Empty>}
      {tasks.length > 0 && (
        <div class="scroll">
          <table class="list cards">
            <thead>
              <tr>
                <th>Task</th>
                <th>State</th>
                <th>Type</th>
                <th class="number">Attempts</th>
                <th class="number">Took</th>
                <th>What it works on, or its error</th>
              </tr>
            </thead>
            <tbody>
              {tasks.map((task) => (
                <tr key={task.task_id}>
                  <td>
                    <button
                      type="button"
                      class="quiet small row-link"
                      onClick={() => open({ stage: task.stage, index: task.task_index })}
                    >
                      {task.stage}.{task.task_index}
                    </button>
                  </td>
                  <td>
                    <Badge state={task.status} />
                  </td>
                  <td>{task.task_type}</td>
                  <td class="number">{task.attempts.length}</td>
                  <td class="number">{duration(task.duration_seconds)}</td>
                  <td class={task.error ? "error-line cut" : "cut"}>{task.error ?? brief(task)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Pager paged={paged} what="tasks" />
    </>
  );
}

/** Names say most; everything else is in the task's own view. */
function brief(task: Task): string {
  const { name, source, blob } = task.parameters;
  const named = [name, source, blob].find((value) => typeof value === "string");
  const text = typeof named === "string" ? named : JSON.stringify(task.parameters);
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
