/** The job's events, oldest first. */

import { ask } from "../api";
import { time, words } from "../format";
import { ENDED, type JobEvent } from "../types";
import { ErrorNote, Loading } from "../ui/parts";
import { Pager } from "../ui/pager";
import { usePages } from "../ui/paged";
import type { JobPart } from "./job";

interface Listing {
  events: JobEvent[];
  links: { next: string | null };
}

export function HistoryView({ job, version }: JobPart) {
  const paged = usePages<Listing>(
    `db/events/${job.job_id}?limit=200`,
    (path, signal) => ask(path, { signal }),
    (value) => value.links.next,
    ENDED.has(job.status) ? null : 3000,
    version,
  );
  const events = paged.page.value?.events ?? [];
  return (
    <>
      {paged.page.error && <ErrorNote error={paged.page.error} retry={paged.page.refresh} />}
      {paged.page.loading && <Loading what="the history" />}
      <div class="scroll">
        <table class="list dense cards">
          <thead>
            <tr>
              <th>When</th>
              <th>Event</th>
              <th>Run, stage</th>
              <th>Tasks</th>
              <th>Worker</th>
              <th>Details</th>
            </tr>
          </thead>
          <tbody>
            {events.map((event) => (
              <tr key={event.event_id}>
                <td class="nowrap">{time(event.at)}</td>
                <td class="strong">{words(event.event)}</td>
                <td>
                  {event.run}
                  {event.stage !== null && `, ${event.stage}`}
                </td>
                <td>{ranges(event.tasks)}</td>
                <td>{event.worker && <code>{event.worker}</code>}</td>
                <td class="wrapped">{Object.keys(event.detail).length > 0 ? JSON.stringify(event.detail) : ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager paged={paged} what="the history" />
    </>
  );
}

function ranges(tasks: [number, number][] | null): string {
  if (!tasks) return "";
  const shown = tasks.slice(0, 6).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return shown.join(", ") + (tasks.length > 6 ? ", …" : "");
}
