/** Why the job is where it is, in the API's words, and what can be done about it. */

import { useRef, useState } from "preact/hooks";
import { ask } from "../api";
import { usePolled } from "../polling";
import { href } from "../routes";
import { ENDED, type Explanation, type JobStatus } from "../types";
import { type Action, ConfirmAction } from "./actions";

const EVERY_MS = 3000;

/** Where this page shows what an endpoint answers. */
function viewOf(method: string, link: string): string | undefined {
  if (method !== "GET") return undefined;
  const [, jobId, status] = /\/db\/tasks\/([0-9a-f]+)(?:\?status=(\w+))?/.exec(link) ?? [];
  if (jobId) return href(["jobs", jobId], { tab: "tasks", status });
  if (link.endsWith("/monitor/poison")) return href(["poison"]);
  return link.endsWith("/health") ? href(["health"]) : undefined;
}

/** What the summary does not say yet: it quotes the weightiest reason, which may quote the only error of tasks. */
function toldBesides({ summary, reasons }: Explanation): Explanation["reasons"] {
  const said = (text: string) => summary.toLowerCase().includes(text.toLowerCase());
  const errors = reasons.filter((reason) => reason.code === "tasks_failed");
  const only = errors.length === 1 ? errors[0] : undefined;
  return reasons.filter(
    (reason) => !said(reason.text) && !(reason === only && said(reason.text.slice(reason.text.indexOf(": ") + 2))),
  );
}

export function Explain({ job, onDone }: { job: JobStatus; onDone: () => void }) {
  const found = usePolled(
    `explain ${job.job_id} ${job.run} ${job.status} ${job.stage}`,
    (signal) => ask<Explanation>(`jobs/${job.job_id}/explain`, { signal }),
    { every: EVERY_MS, live: () => !ENDED.has(job.status) },
  );
  const [asked, setAsked] = useState<Action>();
  // What was said before stays until there is something newer, so that nothing jumps.
  const last = useRef<Explanation | undefined>(undefined);
  last.current = found.value ?? last.current;
  const told = last.current;
  if (!told) {
    return (
      <section class="explain" aria-label="Why the job is where it is">
        {found.error && job.error && <p class="summary">{job.error}</p>}
      </section>
    );
  }
  const reasons = toldBesides(told);
  const stuck = !told.moves && !["completed", "cancelled"].includes(job.status);
  return (
    <section class={stuck ? "explain stuck" : "explain"} aria-label="Why the job is where it is">
      <p class="summary">{told.summary}</p>
      {reasons.length > 0 && (
        <ul>
          {reasons.map((reason) => (
            <li key={reason.code + reason.text}>{reason.text}</li>
          ))}
        </ul>
      )}
      {told.repairs.length > 0 && (
        <p class="repairs">
          <span class="faint">What can be done:</span>{" "}
          {told.repairs.map((repair) => {
            const action = /\/(cancel|retry|rerun)$/.exec(repair.href)?.[1] as Action | undefined;
            const view = viewOf(repair.method, repair.href);
            return action ? (
              <button key={repair.href} type="button" class="quiet small" onClick={() => setAsked(action)}>
                {repair.text}
              </button>
            ) : view ? (
              <a key={repair.href} class="button small" href={view}>
                {repair.text}
              </a>
            ) : (
              <span key={repair.href} class="repair">
                {repair.text}{" "}
                <code>
                  {repair.method} {repair.href}
                </code>
              </span>
            );
          })}
        </p>
      )}
      {asked && <ConfirmAction action={asked} job={job} onDone={onDone} onClose={() => setAsked(undefined)} />}
    </section>
  );
}
