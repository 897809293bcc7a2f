/** Charts of what the app does: throughput, failures, work that waits, queues and their oldest messages. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api";
import { count, duration } from "../format";
import { usePolled } from "../polling";
import type { ActivityAnswer, Queues } from "../types";
import { ErrorNote, Loading, When } from "../ui/parts";
import { Chart, type Line } from "./chart";
import { type Sample, samples } from "./samples";

const SPANS = [
  ["15", "15 minutes"],
  ["60", "1 hour"],
  ["360", "6 hours"],
  ["1440", "1 day"],
] as const;
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
  const activity = usePolled(
    `activity ${minutes}`,
    (signal) => ask<ActivityAnswer>(`monitor/activity?minutes=${minutes}`, { signal }),
    { every: 5000 },
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
      {queues.error && <ErrorNote error={queues.error} retry={queues.refresh} />}
      {activity.loading && <Loading what="figures" />}
      <Tiles activity={found} queues={queues.value} />
      {found && (
        <div class="charts">
          <Chart
            title="Throughput"
            unit={`tasks in ${span(found.bucket_seconds)}`}
            times={found.times}
            series={found.series}
            lines={DONE}
          />
          <Chart
            title="Failures"
            unit={`tasks in ${span(found.bucket_seconds)}`}
            times={found.times}
            series={found.series}
            lines={WRONG}
          />
          <Chart
            title="Work that waits or runs"
            unit="tasks at the end of each interval"
            times={found.times}
            series={found.series}
            lines={UNFINISHED}
          />
          <Sampled title="Queue depth" unit="messages" lines={DEPTH} seen={seen} />
          <Sampled title="Age of the oldest message" unit="seconds" lines={AGE} seen={seen} />
        </div>
      )}
      {found?.complete_since && (
        <p class="faint">
          So much has happened that the charts begin <When at={found.complete_since} />.
        </p>
      )}
      <p class="faint hint">
        Throughput, failures and work come from the history in the database. Nobody keeps what queues looked like: those
        two charts begin when this tab first showed them.
      </p>
    </>
  );
}

function Sampled({ title, unit, lines, seen }: { title: string; unit: string; lines: Line[]; seen: Sample[] }) {
  const series = Object.fromEntries(
    lines.map((line) => [line.key, seen.map((sample) => sample[line.key as keyof Sample])]),
  );
  return <Chart title={title} unit={unit} times={seen.map((sample) => sample.at)} series={series} lines={lines} />;
}

const span = (seconds: number): string => (seconds === 1 ? "each second" : `each ${duration(seconds).replace(" 0 s", "")}`);

function Tiles({ activity, queues }: { activity: ActivityAnswer | undefined; queues: Queues | undefined }) {
  const total = (name: string) => activity?.series[name]?.reduce((sum, n) => sum + n, 0) ?? 0;
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
