/** A listing page by page, by the links of its answers. */

import { useEffect, useState } from "preact/hooks";
import { usePolled, type Polled } from "../polling";

export interface Paged<T> {
  page: Polled<T>;
  number: number;
  /** Undefined where there is none. */
  back: (() => void) | undefined;
  on: (() => void) | undefined;
}

/** Pages of what is at `first`; `next` finds the link to the following page in an answer. */
export function usePages<T>(
  first: string,
  look: (path: string, signal: AbortSignal) => Promise<T>,
  next: (value: T) => string | null,
  every: number | null,
  version = "",
): Paged<T> {
  const [visited, setVisited] = useState<string[]>([]);
  useEffect(() => setVisited([]), [first]);
  const path = visited.at(-1) ?? first;
  const page = usePolled(`${path} ${every === null ? version : ""}`, (signal) => look(path, signal), {
    every: every ?? 60_000,
    live: () => every !== null,
  });
  const link = page.value ? next(page.value) : null;
  return {
    page,
    number: visited.length + 1,
    back: visited.length > 0 ? () => setVisited((before) => before.slice(0, -1)) : undefined,
    on: link ? () => setVisited((before) => [...before, link]) : undefined,
  };
}
