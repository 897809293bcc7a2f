/** One task whole: its attempts, its error, what went in and came out, and its history. */

import { ask } from "../api";
import { bytes, clock, duration, time, words } from "../format";
import { usePolled } from "../polling";
import type { JobStatus, TaskLogsAnswer, WholeTask } from "../types";
import { Badge, Copy, Dialog, ErrorNote, JsonView, Loading } from "../ui/parts";
import type { TaskPlace } from "./job";

export function TaskDialog({ job, place, onClose }: { job: JobStatus; place: TaskPlace; onClose: () => void }) {
  const path = `jobs/${job.job_id}/tasks/${place.stage}/${place.index}?run=${job.run}`;
  const found = usePolled(path, (signal) => ask<WholeTask>(path, { signal }), {
    every: 2000,
    live: (task) => task.status === "queued" || task.status === "processing",
  });
  return (
    <Dialog title={`Task ${place.index} of stage ${place.stage}`} onClose={onClose} side>
      {found.error && <ErrorNote error={found.error} retry={found.refresh} />}
      {found.loading && <Loading what="the task" />}
      {found.value && <Whole task={found.value} job={job} place={place} />}
    </Dialog>
  );
}

function Whole({ task, job, place }: { task: WholeTask; job: JobStatus; place: TaskPlace }) {
  return (
    <div class="stack">
      <p class="line-up">
        <Badge state={task.status} /> <span class="strong">{task.task_type}</span>
        <span class="faint">
          attempt {task.attempt} of {task.max_attempts}
        </span>
        <Copy text={task.task_id} label="the task's id" />
      </p>
      {task.status === "queued" && <p class="faint">Due {time(task.due_at)}.</p>}
      {task.status === "processing" && (
        <p class="faint">
          Held by <code>{task.worker}</code> until {time(task.lease_until)}.
        </p>
      )}
      {task.error && <p class="note bad wrapped">{task.error}</p>}
      <section>
        <h3>Attempts</h3>
        {task.attempts.length === 0 ? (
          <p class="faint">It was not tried yet.</p>
        ) : (
          <ol class="attempts">
            {task.attempts.map((attempt, n) => (
              <li key={n} class={`o-${attempt.outcome}`}>
                <p class="line-up">
                  <span class="strong">
                    {attempt.attempt}. {words(attempt.outcome)}
                  </span>
                  {attempt.times && attempt.times > 1 && <span>{attempt.times} times</span>}
                  <span class="faint">
                    {clock(attempt.started_at)} · {duration(attempt.seconds)}
                  </span>
                  {attempt.worker && <code class="faint">{attempt.worker}</code>}
                </p>
                {attempt.error && <p class="wrapped">{attempt.error}</p>}
              </li>
            ))}
          </ol>
        )}
      </section>
      <Log job={job} place={place} version={`${task.status} ${task.attempts.length}`} />
      <section>
        <h3>Parameters</h3>
        <JsonView value={task.parameters} label="Parameters of the task" />
      </section>
      <section>
        <h3>Result</h3>
        {task.result_url ? (
          <p class="wrapped">
            {bytes(task.result_bytes)}, kept at <code>{task.result_url}</code>
          </p>
        ) : task.result === null ? (
          <p class="faint">There is none.</p>
        ) : (
          <JsonView value={task.result} label="Result of the task" />
        )}
      </section>
      <section>
        <h3>History</h3>
        <ol class="events">
          {task.events.map((event) => (
            <li key={event.event_id}>
              <time dateTime={event.at}>{clock(event.at)}</time> <b>{words(event.event)}</b>{" "}
              {event.worker && <code class="faint">{event.worker}</code>}
              {Object.keys(event.detail).length > 0 && (
                <span class="faint wrapped"> {JSON.stringify(event.detail)}</span>
              )}
            </li>
          ))}
        </ol>
      </section>
    </div>
  );
}

/** What its attempts logged. It is written with their outcomes, so that it is asked for again when one has ended. */
function Log({ job, place, version }: { job: JobStatus; place: TaskPlace; version: string }) {
  const path = `jobs/${job.job_id}/logs?run=${job.run}&stage=${place.stage}&task=${place.index}`;
  const found = usePolled(`${path} ${version}`, (signal) => ask<TaskLogsAnswer>(path, { signal }), {
    every: 5000,
    live: () => false,
  });
  const logs = found.value?.logs ?? [];
  return (
    <section>
      <h3>Log</h3>
      {found.error && <ErrorNote error={found.error} retry={found.refresh} />}
      {found.value && logs.length === 0 && (
        <p class="faint">No attempt that has ended logged anything; one that was killed leaves nothing.</p>
      )}
      {logs.map((one) => (
        <div key={one.written_at}>
          <p class="line-up">
            <span class="strong">Attempt {one.attempt}</span>
            <span class="faint">
              {words(one.outcome)}
              {one.dropped > 0 && ` · the newest ${one.lines.length} of ${one.lines.length + one.dropped} lines`}
            </span>
          </p>
          <ol class="log" aria-label={`Log of attempt ${one.attempt}`} tabIndex={0}>
            {one.lines.map((line, n) => (
              <li key={n} class={`l-${line.level.toLowerCase()}`}>
                <time dateTime={line.at}>{clock(line.at)}</time> <b>{line.level}</b>{" "}
                <span class="faint">{line.logger}</span> <span class="wrapped">{line.message}</span>
              </li>
            ))}
          </ol>
        </div>
      ))}
    </section>
  );
}
