/** What the queues looked like: each minute by the app's own samples, and closer since this tab first asked. */

import type { HistoryAnswer, Queues } from "../types";

export interface Sample {
  /** Seconds since 1970. */
  at: number;
  jobs: number;
  tasks: number;
  outbox: number;
  jobsAge: number;
  tasksAge: number;
}

const KEPT = "queue-samples";
const MOST = 720;

class Samples {
  all: Sample[] = read();

  add(queues: Queues): Sample[] {
    const of = (kind: string) => queues.queues.find((queue) => queue.kind === kind);
    const sample: Sample = {
      at: Math.round(new Date(queues.at).getTime() / 1000),
      jobs: of("jobs")?.messages ?? 0,
      tasks: of("tasks")?.messages ?? 0,
      outbox: queues.outbox.pending,
      jobsAge: Math.round(of("jobs")?.oldest_message_seconds ?? 0),
      tasksAge: Math.round(of("tasks")?.oldest_message_seconds ?? 0),
    };
    const before = this.all.filter((one) => one.at < sample.at);
    this.all = [...before, sample].slice(-MOST);
    sessionStorage.setItem(KEPT, JSON.stringify(this.all));
    return this.all;
  }
}

function read(): Sample[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? (kept as Sample[]) : [];
  } catch {
    return [];
  }
}

export const samples = new Samples();

/** A line for each of them: the history's, and what this tab has seen since its last sample. */
export interface Lines {
  times: number[];
  series: Record<string, (number | null)[]>;
}

const NAMES: Record<Exclude<keyof Sample, "at">, string> = {
  jobs: "jobs_messages",
  tasks: "tasks_messages",
  outbox: "outbox_messages",
  jobsAge: "jobs_oldest_seconds",
  tasksAge: "tasks_oldest_seconds",
};

export function joined(history: HistoryAnswer | undefined, seen: Sample[]): Lines {
  const kept = history?.series["outbox_messages"] ?? [];
  const sampled = kept.findLastIndex((n) => n !== null);
  // The bucket of the last sample is not over: what was seen after its beginning lies closer.
  const from = history?.times[Math.max(sampled, 0)] ?? 0;
  const [first] = history?.times ?? [0];
  const newer = seen.filter((one) => one.at > from && one.at >= (first ?? 0));
  const times = [...(history?.times.slice(0, sampled + 1) ?? []), ...newer.map((one) => one.at)];
  const series = Object.fromEntries(
    Object.entries(NAMES).map(([key, name]) => [
      key,
      [
        ...(history?.series[name]?.slice(0, sampled + 1) ?? []),
        ...newer.map((one) => one[key as keyof typeof NAMES]),
      ],
    ]),
  );
  return { times, series };
}
