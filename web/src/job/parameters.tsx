/** What was submitted, and a way to submit it changed. */

import { ask } from "../api";
import { useOnce } from "../polling";
import { href } from "../routes";
import type { JsonObject } from "../types";
import { ErrorNote, JsonView, Loading } from "../ui/parts";
import type { JobPart } from "./job";

export function ParametersView({ job }: JobPart) {
  const found = useOnce(`job ${job.job_id}`, (signal) =>
    ask<{ parameters: JsonObject }>(`db/jobs/${job.job_id}`, { signal }),
  );
  if (found.error) return <ErrorNote error={found.error} retry={found.refresh} />;
  if (!found.value) return <Loading what="parameters" />;
  return (
    <div class="stack">
      <p>
        <a class="button" href={href(["submit", job.job_type], { from: job.job_id })}>
          Submit with changes
        </a>
      </p>
      <JsonView value={found.value.parameters} label="Parameters of the job" />
    </div>
  );
}
