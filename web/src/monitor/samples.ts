/** What the queues looked like since this tab first asked: nobody else keeps it. */

import type { Queues } from "../types";

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
