/** Loads the attempts of a run, and keeps them up to date by asking only for what has changed. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, ask, query as queryOf } from "../api";
import { ENDED, type JobStatus, type Span, type TaskState, type Timeline } from "../types";

const PAGE = 10_000;
export const MOST_TASKS = 50_000;
/** What commits late is older than the answer that it was missing in. */
const LATE_SECONDS = 15;
const EVERY_MS = 2000;
const SLOWEST_MS = 20_000;

export interface TimedTask {
  stage: number;
  index: number;
  status: TaskState;
  due: number | null;
  attempts: Span[];
}

export interface Loaded {
  tasks: TimedTask[];
  /** Seconds of the run when this was asked. */
  now: number;
  /** When that was, by the clock of the browser. */
  at: number;
  origin: number;
  cut: boolean;
}

export function useTimeline(job: JobStatus): { loaded: Loaded | undefined; error: ApiError | undefined } {
  const [loaded, setLoaded] = useState<Loaded>();
  const [error, setError] = useState<ApiError>();
  const live = useRef(true);
  live.current = !ENDED.has(job.status);
  const key = `${job.job_id} ${job.run} ${live.current ? "live" : job.timings.updated_at}`;

  useEffect(() => {
    const stopped = new AbortController();
    const { signal } = stopped;
    const known = new Map<number, TimedTask>();
    let timer = 0;
    let pause = EVERY_MS;
    let since: number | undefined;

    const look = async (): Promise<void> => {
      if (document.hidden) return;
      const began = performance.now();
      const asked = queryOf({ run: job.run, limit: PAGE, since: since?.toFixed(3) });
      let path: string | null = `jobs/${job.job_id}/timeline${asked}`;
      let changed = 0;
      let answer: Timeline | undefined;
      while (path && known.size < MOST_TASKS) {
        const page: Timeline = await ask<Timeline>(path, { signal });
        answer ??= page;
        for (const [stage, index, status, due, attempts] of page.tasks) {
          known.set(stage * 2 ** 31 + index, { stage, index, status, due, attempts });
        }
        changed += page.tasks.length;
        path = page.links.next;
      }
      if (!answer) return;
      const tasks = [...known.values()].sort((a, b) => a.stage - b.stage || a.index - b.index);
      setLoaded({
        tasks,
        now: answer.now,
        at: Date.now(),
        origin: new Date(answer.origin).getTime(),
        cut: path !== null,
      });
      setError(undefined);
      since = Math.max(0, answer.now - LATE_SECONDS);
      // A large run is looked at less often: asking takes a tenth of the time at most.
      const took = performance.now() - began;
      pause = Math.max(changed ? EVERY_MS : Math.min(pause * 1.5, SLOWEST_MS), took * 10);
    };
    const go = async () => {
      try {
        await look();
      } catch (failure) {
        if (signal.aborted) return;
        setError(failure instanceof ApiError ? failure : undefined);
        pause = SLOWEST_MS;
      }
      if (!signal.aborted && live.current) timer = window.setTimeout(() => void go(), pause);
    };
    const seen = () => {
      if (document.hidden) return;
      clearTimeout(timer);
      void go();
    };
    document.addEventListener("visibilitychange", seen);
    void go();
    return () => {
      stopped.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key]);
  return { loaded, error };
}
