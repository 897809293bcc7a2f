/** Asks again and again: often while something changes, seldom while nothing does, never while nobody looks. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";

const SLOWEST_MS = 20_000;
const SLOWEST_AFTER_ERRORS_MS = 60_000;

export interface Polled<T> {
  value: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  /** Ask now. */
  refresh: () => void;
}

export interface Rhythm<T> {
  /** Milliseconds between two looks while something changes. */
  every: number;
  /** Whether to go on; by default always. */
  live?: (value: T) => boolean;
}

/**
 * The newest answer of `look`, asked again as the rhythm says. `key` names what is asked for: when it changes, the old
 * answer is dropped. The pause grows by half with each answer that is the same as the one before, and doubles with
 * each error.
 */
export function usePolled<T>(key: string, look: (signal: AbortSignal) => Promise<T>, rhythm: Rhythm<T>): Polled<T> {
  const [state, setState] = useState<{ key: string; value?: T; error?: ApiError }>({ key });
  const newest = useRef({ look, rhythm });
  newest.current = { look, rhythm };
  const wake = useRef<() => void>(() => undefined);

  useEffect(() => {
    const stopped = new AbortController();
    let pause = newest.current.rhythm.every;
    let last = "";
    let timer = 0;
    let asking = false;
    let over = false;

    const plan = (milliseconds: number) => {
      clearTimeout(timer);
      if (!stopped.signal.aborted && !over) timer = window.setTimeout(go, milliseconds);
    };
    const go = async () => {
      if (asking || document.hidden || stopped.signal.aborted) return;
      asking = true;
      const { every, live } = newest.current.rhythm;
      try {
        const value = await newest.current.look(stopped.signal);
        const text = JSON.stringify(value);
        pause = text === last ? Math.min(pause * 1.5, Math.max(SLOWEST_MS, every)) : every;
        last = text;
        over = live !== undefined && !live(value);
        setState({ key, value });
      } catch (error) {
        if (stopped.signal.aborted) return;
        const told = error instanceof ApiError ? error : unforeseen(error);
        pause = Math.max((told.retryAfter ?? 0) * 1000, Math.min(pause * 2, SLOWEST_AFTER_ERRORS_MS));
        // What cannot pass by itself is not asked again.
        over = told.status >= 400 && told.status < 500;
        setState((before) => (before.key === key ? { ...before, error: told } : { key, error: told }));
      } finally {
        asking = false;
      }
      plan(pause);
    };
    const look = () => {
      over = false;
      pause = newest.current.rhythm.every;
      clearTimeout(timer);
      void go();
    };
    const seen = () => {
      if (!document.hidden && !over) look();
    };
    wake.current = look;
    document.addEventListener("visibilitychange", seen);
    look();
    return () => {
      stopped.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key]);

  const refresh = useCallback(() => wake.current(), []);
  const current = state.key === key;
  const value = current ? state.value : undefined;
  const error = current ? state.error : undefined;
  return { value, error, loading: value === undefined && error === undefined, refresh };
}

function unforeseen(error: unknown): ApiError {
  console.error(error);
  return new ApiError(0, { title: "Error", detail: String(error), status: 0 });
}

/** An answer that is asked for once. */
export function useOnce<T>(key: string, look: (signal: AbortSignal) => Promise<T>): Polled<T> {
  return usePolled(key, look, { every: SLOWEST_MS, live: () => false });
}
