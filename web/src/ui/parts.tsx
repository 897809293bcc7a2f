/** Small parts that every view is made of. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api";
import { ago, count, time, words } from "../format";
import type { Progress } from "../types";
import { TASK_STATES } from "../types";

/** A state as a mark and a word: the mark's shape says it without its colour. */
export function Badge({ state }: { state: string }) {
  return (
    <span class={`badge s-${state}`}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {mark(state)}
      </svg>
      {words(state)}
    </span>
  );
}

function mark(state: string): JSX.Element {
  switch (state) {
    case "processing":
      return (
        <>
          <circle cx="5" cy="5" r="3.6" class="ring" />
          <path d="M5 1.4a3.6 3.6 0 0 1 0 7.2z" />
        </>
      );
    case "completed":
    case "ok":
    case "closed":
      return <path d="M1.5 5.4 4 7.8 8.6 2.4" class="line" />;
    case "completed_with_errors":
    case "half_open":
      return <path d="M5 1 9.4 9H.6z" />;
    case "failed":
    case "open":
      return <path d="M2 2l6 6M8 2 2 8" class="line" />;
    case "cancelled":
    case "cancelling":
      return <path d="M1.5 5h7" class="line" />;
    default:
      return <circle cx="5" cy="5" r="3.2" class="ring" />;
  }
}

/** A moment: how long ago, with the moment itself to be pointed at. */
export function When({ at }: { at: string | null }) {
  const [, again] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => again((n) => n + 1), 15_000);
    return () => clearInterval(timer);
  }, []);
  if (!at) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={time(at)}>
      {ago(at)}
    </time>
  );
}

/** Tasks by state as parts of a bar; the words say the same. */
export function TaskBar({ progress, thin = false }: { progress: Progress; thin?: boolean }) {
  const total = Math.max(progress.total, 1);
  const parts = (["completed", "failed", "cancelled", "processing"] as const).filter((state) => progress[state] > 0);
  const told = TASK_STATES.filter((state) => progress[state] > 0)
    .map((state) => `${count(progress[state])} ${state}`)
    .join(", ");
  let left = 0;
  return (
    <svg
      class={thin ? "taskbar thin" : "taskbar"}
      viewBox="0 0 1000 10"
      preserveAspectRatio="none"
      role="img"
      aria-label={told || "no tasks"}
    >
      <title>{told || "no tasks"}</title>
      {parts.map((state) => {
        const width = (progress[state] / total) * 1000;
        const part = <rect key={state} class={`f-${state}`} x={left} y="0" width={width} height="10" />;
        left += width;
        return part;
      })}
    </svg>
  );
}

export function ErrorNote({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <div class="note bad" role="alert">
      <div>
        <strong>{error.problem.title}</strong>
        {error.problem.detail && <p>{error.problem.detail}</p>}
        {error.problem.correlation_id && (
          <p class="faint">
            Correlation id <code>{error.problem.correlation_id}</code>
          </p>
        )}
      </div>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      <span class="spinner" aria-hidden="true" /> Loading {what} …
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** JSON as text that can be scrolled to and copied. */
export function JsonView({ value, label }: { value: unknown; label: string }) {
  return (
    <pre class="json" tabIndex={0} aria-label={label}>
      {JSON.stringify(value, null, 2)}
    </pre>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  // Browsers have none on pages that came by HTTP from another machine.
  if (!navigator.clipboard) return null;
  const copy = () => void navigator.clipboard.writeText(text).then(() => setCopied(true));
  return (
    <button type="button" class="quiet small" onClick={copy} aria-label={`Copy ${label}`}>
      {copied ? "Copied" : "Copy"}
    </button>
  );
}

/** A dialog over the page: focus stays in it, Escape closes it. */
export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  side?: boolean;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const title = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const outside = (event: MouseEvent) => {
    if (event.target === element.current) props.onClose();
  };
  return (
    <dialog
      ref={element}
      class={props.side ? "side" : ""}
      aria-labelledby={title}
      onClose={props.onClose}
      onMouseDown={outside}
    >
      <div class="dialog-body">
        <header>
          <h2 id={title}>{props.title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={props.onClose}>
            <svg viewBox="0 0 10 10" class="icon" aria-hidden="true">
              <path d="M2 2l6 6M8 2 2 8" />
            </svg>
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

/** Asks before something is done that cannot be taken back. */
export function Confirm(props: {
  title: string;
  text: string;
  action: string;
  danger?: boolean;
  run: () => Promise<void>;
  onClose: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const confirm = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      props.onClose();
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <p>{props.text}</p>
      {error && (
        <p class="note bad" role="alert">
          {error}
        </p>
      )}
      <div class="buttons end">
        <button type="button" onClick={props.onClose} disabled={busy}>
          Leave it
        </button>
        <button type="button" class={props.danger ? "danger" : "primary"} onClick={() => void confirm()} disabled={busy}>
          {busy ? "…" : props.action}
        </button>
      </div>
    </Dialog>
  );
}
