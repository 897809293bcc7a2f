/** The tasks of a run in time: every attempt a bar, lost leases hatched. By mouse, touch or keyboard. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, duration, words } from "../format";
import { onThemeChange } from "../session";
import { ENDED } from "../types";
import { Empty, ErrorNote, Loading } from "../ui/parts";
import {
  AXIS,
  draw,
  drawOverview,
  heightOf,
  loadOf,
  type Palette,
  palette,
  rowAt,
  rowsOf,
  type View,
} from "./gantt";
import type { JobPart } from "./job";
import { MOST_TASKS, type Loaded, type TimedTask, useTimeline } from "./timeline-data";

const DENSITIES = [
  ["18", "large"],
  ["12", "medium"],
  ["5", "small"],
  ["2", "tiny"],
] as const;
const MANY = 400;
const OVERVIEW = 44;
const TALLEST = 460;
const OUTCOMES = ["completed", "processing", "failed", "retry", "lease_lost", "deferred", "cancelled"] as const;

export function TimelineView(part: JobPart) {
  const { loaded, error } = useTimeline(part.job);
  if (error && !loaded) return <ErrorNote error={error} />;
  if (!loaded) return <Loading what="the timeline" />;
  if (loaded.tasks.length === 0) return <Empty>No stage is planned yet: there are no tasks.</Empty>;
  return <Gantt {...part} loaded={loaded} />;
}

function Gantt({ job, open, loaded }: JobPart & { loaded: Loaded }) {
  const [density, setDensity] = useState(loaded.tasks.length > MANY ? "5" : "18");
  const [zoom, setZoom] = useState({ from: 0, to: 1 });
  const [selected, setSelected] = useState(-1);
  const [hover, setHover] = useState<{ x: number; y: number; task: TimedTask }>();
  const [width, setWidth] = useState(() => Math.min(800, window.innerWidth - 48));
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const overview = useRef<HTMLCanvasElement>(null);
  const colours = useRef<Palette | undefined>(undefined);
  const names = new Map(job.stages.map((stage) => [stage.stage, stage.stage_key]));
  const live = !ENDED.has(job.status);
  const rows = useMemo(() => rowsOf(loaded.tasks, names, Number(density)), [loaded, density, job.stages.length]);
  const content = heightOf(rows) + AXIS;
  const height = Math.min(TALLEST, content + 2);

  const nowSeconds = () => (live ? loaded.now + (Date.now() - loaded.at) / 1000 : loaded.now);
  const end = useMemo(() => endOf(loaded), [loaded]);
  const whole = () => Math.max(0.5, (live ? nowSeconds() : end) * 1.02);
  const view = (): View => ({
    from: zoom.from * whole(),
    to: zoom.to * whole(),
    scroll: frame.current?.scrollTop ?? 0,
    width,
    height,
    gutter: width < 480 ? 44 : 72,
    now: nowSeconds(),
    live,
    selected,
    begins: new Map(
      job.stages.map((stage) => [stage.stage, (new Date(stage.created_at).getTime() - loaded.origin) / 1000]),
    ),
  });

  const counted = useRef<{ loaded: Loaded; width: number; at: number; load: Float64Array } | undefined>(undefined);
  /** Counted anew only where it may have changed: scrolling draws it sixty times a second. */
  const load = (): Float64Array => {
    const kept = counted.current;
    if (kept?.loaded === loaded && kept.width === width && !(live && Date.now() - kept.at > 1000)) return kept.load;
    const parts = Math.max(50, Math.min(400, Math.round(width / 2)));
    const found = loadOf(loaded.tasks, whole(), nowSeconds(), parts);
    counted.current = { loaded, width, at: Date.now(), load: found };
    return found;
  };
  const outcomes = useMemo(() => {
    const seen = new Set(loaded.tasks.flatMap((task) => task.attempts.map((attempt) => attempt[2])));
    return OUTCOMES.filter((outcome) => seen.has(outcome));
  }, [loaded]);

  const paint = () => {
    const on = sized(canvas.current, width, height);
    const above = sized(overview.current, width, OVERVIEW);
    if (!on || !above) return;
    colours.current ??= palette(on);
    draw(on, rows, view(), colours.current);
    drawOverview(above, load(), width, OVERVIEW, zoom, colours.current);
  };
  const newest = useRef(paint);
  newest.current = paint;
  const planned = useRef(0);
  const plan = () => {
    cancelAnimationFrame(planned.current);
    planned.current = requestAnimationFrame(() => newest.current());
  };

  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const watcher = new ResizeObserver(() => setWidth(element.clientWidth));
    watcher.observe(element);
    const unlisten = onThemeChange(() => {
      colours.current = undefined;
      plan();
    });
    const ticking = setInterval(() => live && !document.hidden && plan(), 500);
    return () => {
      watcher.disconnect();
      unlisten();
      clearInterval(ticking);
    };
  }, [live]);
  useEffect(plan, [rows, zoom, selected, width, height, loaded]);

  const scale = (factor: number, at = 0.5) =>
    setZoom(({ from, to }) => {
      const size = Math.min(1, Math.max(0.0005, (to - from) * factor));
      const centre = from + (to - from) * at;
      const start = Math.max(0, Math.min(1 - size, centre - size * at));
      return { from: start, to: start + size };
    });
  /** By button or key: around the task that is chosen, if one is. */
  const scaleAround = (factor: number) => {
    const start = rows[selected]?.task?.attempts.at(-1)?.[0];
    const { from, to } = view();
    const at = start === undefined ? 0.5 : (start - from) / (to - from);
    scale(factor, at >= 0 && at <= 1 ? at : 0.5);
  };
  /** Moves in time to where the task was tried last, if that is out of sight. */
  const reveal = (task: TimedTask) => {
    const start = task.attempts.at(-1)?.[0];
    const { from, to } = view();
    if (start !== undefined && (start < from || start > to)) pan((start - (from + to) / 2) / (to - from));
  };
  const pan = (share: number) =>
    setZoom(({ from, to }) => {
      const start = Math.max(0, Math.min(1 - (to - from), from + (to - from) * share));
      return { from: start, to: start + to - from };
    });
  const choose = (step: number) => {
    let n = selected < 0 && step > 0 ? -1 : selected;
    do n += Math.sign(step);
    while (rows[n] && !rows[n]?.task);
    for (let left = Math.abs(step) - 1; left > 0 && rows[n + Math.sign(step)]?.task; left -= 1) n += Math.sign(step);
    const row = rows[n];
    if (!row?.task || !frame.current) return;
    setSelected(n);
    reveal(row.task);
    const { scrollTop } = frame.current;
    if (row.top < scrollTop) frame.current.scrollTop = row.top - row.height;
    if (row.top + row.height > scrollTop + height - AXIS) frame.current.scrollTop = row.top + 2 * row.height - height + AXIS;
  };
  const keyed = (event: KeyboardEvent) => {
    const does: Record<string, () => void> = {
      ArrowDown: () => choose(1),
      ArrowUp: () => choose(-1),
      PageDown: () => choose(20),
      PageUp: () => choose(-20),
      ArrowLeft: () => pan(-0.1),
      ArrowRight: () => pan(0.1),
      "+": () => scaleAround(0.7),
      "=": () => scaleAround(0.7),
      "-": () => scaleAround(1.4),
      "0": () => setZoom({ from: 0, to: 1 }),
      Enter: () => show(rows[selected]?.task),
    };
    const act = does[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const show = (task: TimedTask | undefined) => task && open({ stage: task.stage, index: task.index });
  const under = (event: MouseEvent): number => {
    const box = canvas.current?.getBoundingClientRect();
    const y = event.clientY - (box?.top ?? 0) - AXIS;
    return y < 0 ? -1 : rowAt(rows, y + (frame.current?.scrollTop ?? 0));
  };
  const pointed = (event: MouseEvent) => {
    const task = rows[under(event)]?.task;
    const box = frame.current?.getBoundingClientRect();
    setHover(task && box ? { task, x: event.clientX - box.left, y: event.clientY - box.top } : undefined);
  };
  const wheeled = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const box = canvas.current?.getBoundingClientRect();
    const { gutter } = view();
    if (event.shiftKey) pan(Math.sign(event.deltaY + event.deltaX) * 0.1);
    else scale(event.deltaY > 0 ? 1.25 : 0.8, (event.clientX - (box?.left ?? 0) - gutter) / (width - gutter));
  };
  const chosen = rows[selected]?.task;
  return (
    <div class="gantt">
      <div class="gantt-tools">
        <ul class="legend">
          {outcomes.map((outcome) => (
            <li key={outcome}>
              <span class={`swatch o-${outcome}`} /> {words(outcome)}
            </li>
          ))}
        </ul>
        <div class="buttons">
          <label class="inline">
            <span>Rows</span>
            <select value={density} onChange={(event) => setDensity(event.currentTarget.value)}>
              {DENSITIES.map(([value, label]) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
            </select>
          </label>
          <button type="button" aria-label="Shorter span of time" onClick={() => scaleAround(0.7)}>
            +
          </button>
          <button type="button" aria-label="Longer span of time" onClick={() => scaleAround(1.4)}>
            −
          </button>
          <button type="button" onClick={() => setZoom({ from: 0, to: 1 })}>
            All
          </button>
        </div>
      </div>
      <Overview canvas={overview} zoom={zoom} onChange={setZoom} />
      <div
        ref={frame}
        class="gantt-frame"
        tabIndex={0}
        role="application"
        aria-label={`Timeline of ${count(loaded.tasks.length)} tasks. Up and down choose a task, Enter opens it, left and right move in time, plus and minus change the span.`}
        onScroll={plan}
        onKeyDown={keyed}
        onMouseMove={pointed}
        onMouseLeave={() => setHover(undefined)}
        onWheel={wheeled}
        onClick={(event) => {
          const n = under(event);
          setSelected(n);
          show(rows[n]?.task);
        }}
      >
        {/* The styles are set by script, one by one: the page's policy lets no style attribute in. */}
        <div class="gantt-space" ref={(element) => {
            if (element) element.style.height = `${content}px`;
          }}>
          <canvas ref={canvas} class="gantt-canvas" />
        </div>
        {hover && <Tip {...hover} width={width} scroll={frame.current?.scrollTop ?? 0} now={nowSeconds()} />}
      </div>
      <p class="sr" aria-live="polite">
        {chosen && told(chosen)}
      </p>
      {loaded.cut && <p class="faint">The first {count(MOST_TASKS)} tasks are shown.</p>}
      <p class="faint hint">
        Click a task to open it. Ctrl and the wheel change the span of time, Shift and the wheel move it; drag in the
        strip above to choose a part.
      </p>
    </div>
  );
}

function Overview(props: {
  canvas: { current: HTMLCanvasElement | null };
  zoom: { from: number; to: number };
  onChange: (zoom: { from: number; to: number }) => void;
}) {
  const began = useRef<number | undefined>(undefined);
  const share = (event: PointerEvent) => {
    const box = props.canvas.current?.getBoundingClientRect();
    return box ? Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) : 0;
  };
  const down = (event: PointerEvent) => {
    began.current = share(event);
    props.canvas.current?.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent) => {
    if (began.current === undefined) return;
    const at = share(event);
    const [from, to] = [Math.min(began.current, at), Math.max(began.current, at)];
    if (to - from > 0.005) props.onChange({ from, to });
  };
  return (
    <canvas
      ref={props.canvas}
      class="gantt-overview"
      aria-hidden="true"
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={() => (began.current = undefined)}
      onDblClick={() => props.onChange({ from: 0, to: 1 })}
    />
  );
}

function Tip(props: { x: number; y: number; task: TimedTask; width: number; scroll: number; now: number }) {
  const { task } = props;
  const place = (element: HTMLDivElement | null) => {
    if (!element) return;
    element.style.left = `${Math.min(props.x + 14, props.width - 240)}px`;
    element.style.top = `${props.y + 14 + props.scroll}px`;
  };
  return (
    <div class="tip" ref={place} aria-hidden="true">
      <b>
        Task {task.stage}.{task.index}
      </b>{" "}
      {words(task.status)}
      <ol>
        {task.attempts.slice(-6).map(([start, end, outcome], n) => (
          <li key={n}>
            <span class={`swatch o-${outcome}`} /> {words(outcome)} · {duration((end ?? props.now) - start)} · at{" "}
            {duration(start)}
          </li>
        ))}
      </ol>
    </div>
  );
}

function told(task: TimedTask): string {
  const attempts = task.attempts.map(([start, end, outcome]) =>
    end === null ? `${words(outcome)} since second ${start}` : `${words(outcome)} after ${duration(end - start)}`,
  );
  return `Task ${task.index} of stage ${task.stage}, ${task.status}. ${attempts.join(", then ") || "not tried yet"}.`;
}

function endOf(loaded: Loaded): number {
  let end = 0.1;
  for (const task of loaded.tasks) {
    for (const [start, ended] of task.attempts) end = Math.max(end, ended ?? start);
  }
  return end;
}

/** A canvas of so many CSS pixels, sharp on any screen. */
function sized(canvas: HTMLCanvasElement | null, width: number, height: number): CanvasRenderingContext2D | null {
  if (!canvas) return null;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
