/** Cancel, retry, run again: each behind a confirmation. */

import { useState } from "preact/hooks";
import { ask } from "../api";
import { count } from "../format";
import { ENDED, type JobStatus } from "../types";
import { Confirm } from "../ui/parts";

export type Action = "cancel" | "retry" | "rerun";

const RETRIED = new Set(["failed", "cancelled", "completed_with_errors"]);

export function possible(status: string): Action[] {
  if (!ENDED.has(status)) return status === "cancelling" ? [] : ["cancel"];
  return RETRIED.has(status) ? ["retry", "rerun"] : ["rerun"];
}

const LABELS: Record<Action, string> = { cancel: "Cancel", retry: "Retry", rerun: "Run again" };

function told(action: Action, job: JobStatus): { title: string; text: string; action: string } {
  const left = job.progress.failed + job.progress.cancelled;
  switch (action) {
    case "cancel":
      return {
        title: "Cancel this job?",
        text: "Tasks that run are asked to stop, and those that wait are not begun. What has completed stays.",
        action: "Cancel the job",
      };
    case "retry":
      return {
        title: "Retry this job?",
        text: `${count(left)} failed or cancelled tasks are queued again in run ${job.run}; what has completed stays.`,
        action: "Retry",
      };
    case "rerun":
      return {
        title: "Run this job again?",
        text: `Run ${job.run + 1} begins at stage 1 with the same parameters. Run ${job.run} stays in the history.`,
        action: "Run again",
      };
  }
}

export function Actions({ job, onDone }: { job: JobStatus; onDone: () => void }) {
  const [asked, setAsked] = useState<Action>();
  return (
    <div class="buttons">
      {possible(job.status).map((action) => (
        <button
          key={action}
          type="button"
          class={action === "cancel" ? "danger" : action === "retry" ? "primary" : ""}
          onClick={() => setAsked(action)}
        >
          {LABELS[action]}
        </button>
      ))}
      {asked && <ConfirmAction action={asked} job={job} onDone={onDone} onClose={() => setAsked(undefined)} />}
    </div>
  );
}

export function ConfirmAction(props: { action: Action; job: JobStatus; onDone: () => void; onClose: () => void }) {
  const { action, job } = props;
  const run = async () => {
    await ask(`jobs/${job.job_id}/${action}`, { method: "POST" });
    props.onDone();
  };
  return <Confirm {...told(action, job)} danger={action === "cancel"} run={run} onClose={props.onClose} />;
}
