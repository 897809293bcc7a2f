/** Calls the API that the page belongs to, with the key that the person typed in. */

import { getKey } from "./session";
import type { Json } from "./types";

/** Where the API is: the page is at …/api/dashboard, or with a slash behind. */
const root = new URL(location.pathname.endsWith("/") ? ".." : ".", location.href);
const PREFIX = "/api/";
const TIMEOUT_MS = 60_000;

export interface Problem {
  title: string;
  detail: string;
  status: number;
  correlation_id?: string;
  errors?: { field: string; reason: string }[];
}

/** The API refused, or did not answer (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly retryAfter: number | null = null,
  ) {
    super(problem.detail || problem.title);
  }
}

/** What the app asks for: a key, or that the person signs in, at an address where that is possible. */
export type Needed = { key: true } | { key: false; signIn: string };

type KeyListener = (needed: Needed) => void;
const waiting = new Set<KeyListener>();

/** Called whenever the API asks for a key or a person that it did not get. Answers how to stop listening. */
export function onKeyNeeded(listener: KeyListener): () => void {
  waiting.add(listener);
  return () => waiting.delete(listener);
}

/** Links in answers are paths below /api; whatever a proxy has put in front of it stays. */
function address(path: string): URL {
  return new URL(path.startsWith(PREFIX) ? path.slice(PREFIX.length) : path, root);
}

/** Of a 401: the host, which asks for keys, says nothing; the app, which asks who calls, says so in a problem. */
function needed(response: Response): Needed {
  const told = response.headers.get("content-type")?.startsWith("application/problem+json") ?? false;
  return told ? { key: false, signIn: response.headers.get("x-sign-in") ?? "" } : { key: true };
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback = { title: response.statusText || `HTTP ${response.status}`, detail: "", status: response.status };
  if (needed(response).key && response.status === 401) {
    return { ...fallback, title: "Key needed", detail: "The app asks for a function key." };
  }
  try {
    return { ...fallback, ...((await response.json()) as Problem) };
  } catch {
    return fallback;
  }
}

export interface Asking {
  method?: "GET" | "POST" | "PUT";
  body?: Json;
  signal?: AbortSignal;
  /** Statuses besides 2xx whose body is an answer all the same. */
  also?: number[];
  /** Whether the browser may answer from what it has kept, as the app allows for pictures. */
  kept?: boolean;
}

async function call(path: string, { method = "GET", body, signal, also = [], kept }: Asking): Promise<Response> {
  const key = getKey();
  const headers: Record<string, string> = {};
  if (key) headers["x-functions-key"] = key;
  if (body !== undefined) headers["content-type"] = "application/json";
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(address(path), {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: kept ? "default" : "no-store",
      credentials: "same-origin",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { title: "No answer", detail: "The app does not answer.", status: 0 });
  }
  if (response.ok || also.includes(response.status)) return response;
  if (response.status === 401) {
    const what = needed(response);
    waiting.forEach((listener) => listener(what));
  }
  const after = Number(response.headers.get("retry-after"));
  throw new ApiError(response.status, await problemOf(response), after > 0 ? after : null);
}

/** The JSON that an endpoint answers. `path` is below /api/, or a link of an answer. */
export async function ask<T>(path: string, asking: Asking = {}): Promise<T> {
  return (await (await call(path, asking)).json()) as T;
}

/** What an endpoint answers as a file, with its name and the link to what follows. */
export async function download(
  path: string,
  asking: Asking = {},
): Promise<{ blob: Blob; name: string; next: string | null }> {
  const response = await call(path, asking);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "download";
  const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("link") ?? "")?.[1] ?? null;
  return { blob: await response.blob(), name, next };
}

/** A query string of what is given; empty and undefined values are left out. */
export function query(values: Record<string, string | number | undefined | null>): string {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}
