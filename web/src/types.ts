/** What the API answers, as far as the page reads it (docs/api.md). Times are ISO 8601 in UTC. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

export const JOB_STATES = [
  "queued",
  "processing",
  "cancelling",
  "completed",
  "completed_with_errors",
  "failed",
  "cancelled",
] as const;
export type JobState = (typeof JOB_STATES)[number];
export const TASK_STATES = ["queued", "processing", "completed", "failed", "cancelled"] as const;
export type TaskState = (typeof TASK_STATES)[number];
export type Outcome = "completed" | "processing" | "failed" | "cancelled" | "retry" | "lease_lost" | "deferred";

export type Progress = Record<TaskState, number> & { total: number; percent: number };

export interface ListedJob {
  job_id: string;
  job_type: string;
  status: JobState;
  run: number;
  stage: number;
  total_stages: number;
  error: string | null;
  progress: Progress;
  created_at: string;
  queued_at: string;
  started_at: string | null;
  updated_at: string;
  completed_at: string | null;
}

export interface Stage {
  stage: number;
  stage_key: string;
  task_type: string;
  status: string;
  task_count: number;
  on_failure: string;
  max_attempts: number;
  error: string | null;
  progress: Progress;
  created_at: string;
  completed_at: string | null;
  duration_seconds: number | null;
}

export interface JobStatus {
  job_id: string;
  job_type: string;
  status: JobState;
  run: number;
  stage: number;
  total_stages: number;
  progress: Progress;
  stages: Stage[];
  result: Json;
  error: string | null;
  correlation_id: string;
  timings: {
    created_at: string;
    queued_at: string;
    started_at: string | null;
    updated_at: string;
    completed_at: string | null;
    duration_seconds: number | null;
  };
}

export interface JobType {
  job_type: string;
  description: string;
  parameters_schema: JsonObject;
  stages: { number: number; key: string; task_type: string; on_failure: string }[];
}

export interface Explanation {
  summary: string;
  moves: boolean;
  reasons: { code: string; text: string; tasks?: number | null }[];
  repairs: { text: string; method: string; href: string }[];
}

export interface Attempt {
  attempt: number;
  outcome: Outcome;
  error: string | null;
  worker: string | null;
  started_at: string;
  ended_at: string | null;
  seconds: number | null;
  times?: number;
}

export interface Task {
  task_id: string;
  job_id: string;
  run: number;
  stage: number;
  task_type: string;
  task_index: number;
  status: TaskState;
  parameters: JsonObject;
  attempt: number;
  attempts: Attempt[];
  worker: string | null;
  error: string | null;
  due_at: string;
  lease_until: string | null;
  started_at: string | null;
  completed_at: string | null;
  duration_seconds: number | null;
}

export interface JobEvent {
  event_id: number;
  run: number;
  stage: number | null;
  event: string;
  detail: JsonObject;
  worker: string | null;
  at: string;
  tasks: [number, number][] | null;
}

export interface WholeTask extends Task {
  stage_key: string;
  max_attempts: number;
  result: Json;
  result_url: string | null;
  result_bytes: number | null;
  events: Omit<JobEvent, "run" | "stage" | "tasks">[];
}

export interface Failures {
  failed: number;
  complete: boolean;
  groups: {
    stage: number;
    stage_key: string;
    task_type: string;
    error: string;
    pattern: string;
    tasks: number;
    most_attempts: number;
    first_at: string;
    last_at: string;
    task_indexes: number[];
  }[];
}

/** Seconds of the run: start, end (null: it runs), outcome. */
export type Span = [number, number | null, Outcome];
export type TimelineRow = [stage: number, index: number, status: TaskState, due: number | null, attempts: Span[]];
export interface Timeline {
  run: number;
  status: JobState;
  origin: string;
  now: number;
  tasks: TimelineRow[];
  next_cursor: string | null;
  links: { next: string | null };
}

export interface Outcomes {
  run: number;
  stage: number | null;
  results: {
    task_index: number;
    status: TaskState;
    attempt: number;
    result: Json;
    result_url: string | null;
    result_bytes: number | null;
    error: string | null;
  }[];
  links: { next: string | null };
}

export interface Feature {
  type: "Feature";
  geometry: GeoJSON.Geometry;
  properties: {
    kind: "cog" | "item" | "raster" | "layer";
    title: string;
    thumbnail?: string;
    container?: string;
    size?: number;
    collection?: string | null;
    geometry_type?: string;
    row_count?: number;
    stage?: number;
    task_index?: number;
  };
}
export interface CoverageAnswer {
  features: Feature[];
  truncated: boolean;
  without_place: number;
}

export interface Poison {
  total: number;
  by_queue: Record<string, number>;
  newest: {
    poison_id: number;
    queue: string;
    message_id: string;
    reason: string;
    raw: string;
    bytes: number;
    dequeue_count: number;
    job_id: string | null;
    run: number | null;
    stage: number | null;
    first: number | null;
    last: number | null;
    action: string;
    recorded_at: string;
  }[];
}

export interface TaskLogsAnswer {
  logs: {
    stage: number;
    task_index: number;
    attempt: number;
    outcome: string;
    written_at: string;
    dropped: number;
    lines: { at: string; level: string; logger: string; message: string }[];
  }[];
  next_cursor: string | null;
}

export interface Queues {
  at: string;
  queues: {
    kind: "jobs" | "tasks";
    name: string;
    messages: number;
    oldest_message_seconds: number | null;
    poison_messages: number;
  }[];
  outbox: { pending: number; parked: number; sent: number; oldest_pending_seconds: number | null };
}

export interface HistoryAnswer {
  bucket_seconds: number;
  times: number[];
  series: Record<string, (number | null)[]>;
}

export interface ActivityAnswer {
  bucket_seconds: number;
  times: number[];
  series: Record<string, number[]>;
  queued: number;
  processing: number;
  complete_since: string | null;
}

export interface Health {
  status: string;
  checks: Record<string, JsonObject & { status: string; duration_ms: number; error?: string }>;
  breakers: { dependency: string; state: string; failures: number; open_until: string | null }[];
  versions: Record<string, string>;
}

export interface Invariants {
  total_violations: number;
  invariants: { name: string; description: string; count: number }[];
}

export const ENDED: ReadonlySet<string> = new Set([
  "completed",
  "completed_with_errors",
  "failed",
  "cancelled",
]);
