/** Charts of what the app does: throughput, failures, work that waits, queues and their oldest messages. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api";
import { count, duration } from "../format";
import { usePolled } from "../polling";
import type { ActivityAnswer, HistoryAnswer, Queues } from "../types";
import { ErrorNote, Loading, When } from "../ui/parts";
import { Chart, type Line } from "./chart";
import { joined, type Lines, type Sample, samples } from "./samples";

const SPANS = [
  ["15", "15 minutes"],
  ["60", "1 hour"],
  ["360", "6 hours"],
  ["1440", "1 day"],
  ["10080", "7 days"],
] as const;
/** The history of events reaches back so far; beyond it there are the samples of each minute. */
const EVENTS_MINUTES = 1440;
const DONE: Line[] = [
  { key: "completed", label: "completed", colour: "--completed", bars: true },
  { key: "started", label: "started", colour: "--processing" },
];
const WRONG: Line[] = [
  { key: "failed", label: "failed", colour: "--failed", bars: true },
  { key: "retried", label: "to be tried again", colour: "--retry" },
  { key: "leases_lost", label: "leases lost", colour: "--lost" },
  { key: "deferred", label: "put off", colour: "--deferred" },
];
const UNFINISHED: Line[] = [{ key: "unfinished", label: "unfinished tasks", colour: "--accent", area: true }];
const DEPTH: Line[] = [
  { key: "jobs", label: "messages in the jobs queue", colour: "--accent" },
  { key: "tasks", label: "messages in the tasks queue", colour: "--processing", area: true },
  { key: "outbox", label: "to be sent", colour: "--retry" },
];
const AGE: Line[] = [
  { key: "jobsAge", label: "jobs queue", colour: "--accent" },
  { key: "tasksAge", label: "tasks queue", colour: "--processing" },
];

export function MonitorView() {
  const [minutes, setMinutes] = useState("60");
  const eventful = Math.min(Number(minutes), EVENTS_MINUTES);
  const activity = usePolled(
    `activity ${eventful}`,
    (signal) => ask<ActivityAnswer>(`monitor/activity?minutes=${eventful}`, { signal }),
    { every: 5000 },
  );
  const hours = Math.max(1, Number(minutes) / 60);
  const history = usePolled(
    `history ${hours}`,
    (signal) => ask<HistoryAnswer>(`monitor/history?hours=${hours}`, { signal }),
    { every: 20_000 },
  );
  const queues = usePolled("queues", (signal) => ask<Queues>("monitor/queues", { signal }), { every: 5000 });
  const [seen, setSeen] = useState<Sample[]>(samples.all);
  const last = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (!queues.value || queues.value.at === last.current) return;
    last.current = queues.value.at;
    setSeen(samples.add(queues.value));
  }, [queues.value]);
  const found = activity.value;
  const kept = history.value;
  const waits = within(joined(kept, seen), Number(minutes));
  // Where more happened than the events are looked at, or longer ago, the samples of each minute tell.
  const sampled = kept && (Number(minutes) > EVENTS_MINUTES || found?.complete_since);
  const shown = sampled ? within(kept, Number(minutes)) : found;
  const each = sampled ? kept.bucket_seconds : found?.bucket_seconds;
  return (
    <>
      <div class="heading">
        <h1>Monitor</h1>
        <label class="inline">
          <span>The last</span>
          <select value={minutes} onChange={(event) => setMinutes(event.currentTarget.value)}>
            {SPANS.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      {activity.error && <ErrorNote error={activity.error} retry={activity.refresh} />}
      {history.error && <ErrorNote error={history.error} retry={history.refresh} />}
      {queues.error && <ErrorNote error={queues.error} retry={queues.refresh} />}
      {activity.loading && <Loading what="figures" />}
      <Tiles activity={found} series={shown?.series} queues={queues.value} />
      {found && shown && (
        <div class="charts">
          <Chart
            title="Throughput"
            unit={`tasks in ${span(each ?? 0)}`}
            times={shown.times}
            series={shown.series}
            lines={sampled ? DONE.slice(0, 1) : DONE}
            key={`throughput ${Boolean(sampled)}`}
          />
          <Chart
            title="Failures"
            unit={`tasks in ${span(each ?? 0)}`}
            times={shown.times}
            series={shown.series}
            lines={WRONG}
          />
          <Chart
            title="Work that waits or runs"
            unit={sampled ? "most tasks at a time" : "tasks at the end of each interval"}
            times={shown.times}
            series={shown.series}
            lines={UNFINISHED}
          />
          <Chart title="Queue depth" unit="messages" times={waits.times} series={waits.series} lines={DEPTH} />
          <Chart
            title="Age of the oldest message"
            unit="seconds"
            times={waits.times}
            series={waits.series}
            lines={AGE}
          />
        </div>
      )}
      {found?.complete_since && (
        <p class="faint">
          So much has happened that events are looked at from <When at={found.complete_since} /> on: throughput and
          failures are those of the samples taken each minute.
        </p>
      )}
      <p class="faint hint">
        Throughput, failures and work come from the history in the database, of up to a day. Queues are sampled by the
        app once a minute and kept for seven days; while this tab is open they are looked at closer. Times in which no
        sample was taken are gaps.
      </p>
    </>
  );
}

/** The last minutes of lines that reach back further. */
function within({ times, series }: Lines, minutes: number): Lines {
  const from = (times.at(-1) ?? 0) - minutes * 60;
  const first = Math.max(times.findIndex((at) => at > from), 0);
  if (first === 0) return { times, series };
  return {
    times: times.slice(first),
    series: Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.slice(first)])),
  };
}

const span = (seconds: number): string => (seconds === 1 ? "each second" : `each ${duration(seconds).replace(" 0 s", "")}`);

function Tiles({
  activity,
  series,
  queues,
}: {
  activity: ActivityAnswer | undefined;
  series: Lines["series"] | undefined;
  queues: Queues | undefined;
}) {
  const total = (name: string) => series?.[name]?.reduce<number>((sum, n) => sum + (n ?? 0), 0) ?? 0;
  const ages = queues?.queues.map((queue) => queue.oldest_message_seconds ?? 0) ?? [];
  const poison = queues?.queues.reduce((sum, queue) => sum + queue.poison_messages, 0) ?? 0;
  const waiting = queues?.queues.reduce((sum, queue) => sum + queue.messages, 0);
  return (
    <dl class="tiles">
      <Tile label="tasks run" value={activity && count(activity.processing)} />
      <Tile label="tasks wait" value={activity && count(activity.queued)} />
      <Tile label="completed in this time" value={activity && count(total("completed"))} />
      <Tile label="failed in this time" value={activity && count(total("failed"))} bad={total("failed") > 0} />
      <Tile label="messages in the queues" value={waiting === undefined ? undefined : count(waiting)} />
      <Tile label="oldest message" value={queues && (Math.max(0, ...ages) > 0 ? duration(Math.max(...ages)) : "none")} bad={Math.max(0, ...ages) > 300} />
      <Tile label="held back by limits" value={queues && count(queues.outbox.parked)} />
      <Tile label="in poison queues" value={queues && count(poison)} bad={poison > 0} />
    </dl>
  );
}

function Tile({ label, value, bad = false }: { label: string; value: string | undefined; bad?: boolean }) {
  return (
    <div class={bad ? "tile bad" : "tile"}>
      <dt>{label}</dt>
      <dd>{value ?? "…"}</dd>
    </div>
  );
}
