/**
 * Draws tasks as rows and attempts as bars, only those in sight: what a frame costs does not depend on how many
 * tasks there are.
 */

import { colour } from "../session";
import type { Outcome } from "../types";
import type { TimedTask } from "./timeline-data";

export interface Row {
  /** Undefined: the heading of a stage. */
  task?: TimedTask;
  label: string;
  top: number;
  height: number;
}

export interface View {
  /** Seconds at the left and right edge. */
  from: number;
  to: number;
  scroll: number;
  width: number;
  height: number;
  gutter: number;
  now: number;
  live: boolean;
  selected: number;
  begins: Map<number, number>;
}

export const HEADING = 26;
export const AXIS = 24;
const OUTCOMES: Record<Outcome, string> = {
  completed: "--completed",
  processing: "--processing",
  failed: "--failed",
  cancelled: "--cancelled",
  retry: "--retry",
  lease_lost: "--lost",
  deferred: "--deferred",
};

export interface Palette {
  outcomes: Record<Outcome, string>;
  ink: string;
  faint: string;
  line: string;
  surface: string;
  band: string;
  accent: string;
  hatch: CanvasPattern | null;
}

export function palette(context: CanvasRenderingContext2D): Palette {
  const outcomes = Object.fromEntries(
    Object.entries(OUTCOMES).map(([outcome, name]) => [outcome, colour(name)]),
  ) as Palette["outcomes"];
  return {
    outcomes,
    ink: colour("--ink"),
    faint: colour("--faint"),
    line: colour("--line"),
    surface: colour("--surface"),
    band: colour("--band"),
    accent: colour("--accent"),
    hatch: hatched(context, outcomes.lease_lost, colour("--surface")),
  };
}

/** Lost leases are told by their pattern too, not by colour alone. */
function hatched(context: CanvasRenderingContext2D, ink: string, ground: string): CanvasPattern | null {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const on = tile.getContext("2d");
  if (!on) return null;
  on.fillStyle = ground;
  on.fillRect(0, 0, 6, 6);
  on.strokeStyle = ink;
  on.lineWidth = 2;
  on.beginPath();
  on.moveTo(-1, 7);
  on.lineTo(7, -1);
  on.moveTo(-4, 4);
  on.lineTo(4, -4);
  on.moveTo(2, 10);
  on.lineTo(10, 2);
  on.stroke();
  return context.createPattern(tile, "repeat");
}

/** Rows from top to bottom: the heading of each stage, then its tasks. */
export function rowsOf(tasks: TimedTask[], names: Map<number, string>, height: number): Row[] {
  const rows: Row[] = [];
  let top = 0;
  let stage = -1;
  for (const task of tasks) {
    if (task.stage !== stage) {
      stage = task.stage;
      rows.push({ label: `${stage} · ${names.get(stage) ?? ""}`, top, height: HEADING });
      top += HEADING;
    }
    rows.push({ task, label: String(task.index), top, height });
    top += height;
  }
  return rows;
}

export const heightOf = (rows: Row[]): number => {
  const last = rows.at(-1);
  return last ? last.top + last.height : 0;
};

/** The index of the row at this height, by bisection. */
export function rowAt(rows: Row[], y: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows[middle]?.top ?? 0) <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

export const xOf = (seconds: number, view: View): number =>
  view.gutter + ((seconds - view.from) / (view.to - view.from)) * (view.width - view.gutter);

export function draw(context: CanvasRenderingContext2D, rows: Row[], view: View, colours: Palette): void {
  context.clearRect(0, 0, view.width, view.height);
  context.fillStyle = colours.surface;
  context.fillRect(0, 0, view.width, view.height);
  grid(context, view, colours);
  context.save();
  context.beginPath();
  context.rect(0, AXIS, view.width, view.height - AXIS);
  context.clip();
  for (let n = rowAt(rows, view.scroll); n < rows.length; n += 1) {
    const row = rows[n];
    if (!row) break;
    const y = AXIS + row.top - view.scroll;
    if (y > view.height) break;
    if (row.task) bars(context, row, row.task, y, view, colours, n === view.selected);
    else heading(context, row, y, view, colours);
  }
  if (view.live) nowLine(context, view, colours);
  context.restore();
}

function grid(context: CanvasRenderingContext2D, view: View, colours: Palette): void {
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.strokeStyle = colours.line;
  context.fillStyle = colours.faint;
  context.lineWidth = 1;
  const step = niceStep((view.to - view.from) / Math.max(2, (view.width - view.gutter) / 90));
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    const x = Math.round(xOf(t, view)) + 0.5;
    context.beginPath();
    context.moveTo(x, AXIS - 5);
    context.lineTo(x, view.height);
    context.stroke();
    const label = axisLabel(t, step);
    if (x + context.measureText(label).width + 4 < view.width) context.fillText(label, x + 4, AXIS / 2);
  }
  context.beginPath();
  context.moveTo(0, AXIS + 0.5);
  context.lineTo(view.width, AXIS + 0.5);
  context.stroke();
}

function heading(context: CanvasRenderingContext2D, row: Row, y: number, view: View, colours: Palette): void {
  context.fillStyle = colours.band;
  context.fillRect(0, y, view.width, row.height);
  context.fillStyle = colours.ink;
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillText(row.label, 8, y + row.height / 2);
}

function bars(
  context: CanvasRenderingContext2D,
  row: Row,
  task: TimedTask,
  y: number,
  view: View,
  colours: Palette,
  selected: boolean,
): void {
  const middle = y + row.height / 2;
  if (selected) {
    context.fillStyle = colours.band;
    context.fillRect(0, y, view.width, row.height);
    context.fillStyle = colours.accent;
    context.fillRect(0, y, 3, row.height);
  }
  if (row.height >= 10) {
    context.fillStyle = selected ? colours.ink : colours.faint;
    context.font = "11px ui-monospace, monospace";
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.fillText(row.label, view.gutter - 8, middle + 0.5);
    context.textAlign = "left";
  }
  context.save();
  context.beginPath();
  context.rect(view.gutter, y, view.width - view.gutter, row.height);
  context.clip();
  if (row.height >= 10) waiting(context, task, middle, view, colours);
  const thick = Math.max(1, row.height - (row.height > 6 ? 4 : row.height > 3 ? 1 : 0));
  for (const [start, ended, outcome] of task.attempts) {
    const x = xOf(start, view);
    const width = Math.max(1.5, xOf(ended ?? view.now, view) - x);
    if (x > view.width || x + width < view.gutter) continue;
    const isLost = outcome === "lease_lost";
    context.fillStyle = isLost && row.height > 4 && colours.hatch ? colours.hatch : colours.outcomes[outcome];
    context.fillRect(x, middle - thick / 2, width, thick);
    if (isLost && row.height > 4) {
      context.strokeStyle = colours.outcomes.lease_lost;
      context.strokeRect(x + 0.5, middle - thick / 2 + 0.5, Math.max(0.5, width - 1), thick - 1);
    }
    if (outcome === "failed" && row.height >= 10 && width > 8) cross(context, x + width / 2, middle, colours);
  }
  context.restore();
}

/** It waited from when its stage was planned, and between two attempts. */
function waiting(
  context: CanvasRenderingContext2D,
  task: TimedTask,
  middle: number,
  view: View,
  colours: Palette,
): void {
  const last = task.attempts.at(-1);
  const end = task.status === "queued" || !last ? view.now : (last[1] ?? view.now);
  const left = xOf(view.begins.get(task.stage) ?? 0, view);
  context.fillStyle = colours.line;
  context.fillRect(left, middle - 0.5, Math.max(0, xOf(end, view) - left), 1);
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, colours: Palette): void {
  context.strokeStyle = colours.surface;
  context.lineWidth = 1.4;
  context.beginPath();
  context.moveTo(x - 2.5, y - 2.5);
  context.lineTo(x + 2.5, y + 2.5);
  context.moveTo(x + 2.5, y - 2.5);
  context.lineTo(x - 2.5, y + 2.5);
  context.stroke();
  context.lineWidth = 1;
}

function nowLine(context: CanvasRenderingContext2D, view: View, colours: Palette): void {
  const x = xOf(view.now, view);
  if (x < view.gutter || x > view.width) return;
  context.strokeStyle = colours.accent;
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, AXIS);
  context.lineTo(Math.round(x) + 0.5, view.height);
  context.stroke();
}

/** How many attempts ran at once, over the whole run: drawn small, as what to choose a part from. */
export function drawOverview(
  context: CanvasRenderingContext2D,
  load: Float64Array,
  width: number,
  height: number,
  window: { from: number; to: number },
  colours: Palette,
): void {
  context.clearRect(0, 0, width, height);
  const most = Math.max(1, ...load);
  context.fillStyle = colours.outcomes.processing;
  context.globalAlpha = 0.55;
  context.beginPath();
  context.moveTo(0, height);
  load.forEach((n, x) => context.lineTo((x / load.length) * width, height - (n / most) * (height - 18)));
  context.lineTo(width, height);
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = colours.faint;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "top";
  context.fillText(`up to ${Math.round(most)} at once`, 8, 5);
  context.strokeStyle = colours.accent;
  context.lineWidth = 1.5;
  context.strokeRect(window.from * width + 0.75, 0.75, Math.max(2, (window.to - window.from) * width - 1.5), height - 1.5);
  context.lineWidth = 1;
}

/** The number of attempts that ran in each of so many parts of the time, on average. */
export function loadOf(tasks: TimedTask[], end: number, now: number, parts: number): Float64Array {
  const load = new Float64Array(parts);
  const size = end / parts || 1;
  for (const task of tasks) {
    for (const [start, ended] of task.attempts) {
      const last = ended ?? now;
      const from = Math.max(0, Math.floor(start / size));
      const to = Math.min(parts - 1, Math.floor(last / size));
      for (let n = from; n <= to; n += 1) {
        const inside = Math.min(last, (n + 1) * size) - Math.max(start, n * size);
        load[n] = (load[n] ?? 0) + Math.max(0, inside) / size;
      }
    }
  }
  return load;
}

function niceStep(rough: number): number {
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
  return steps.find((step) => step >= rough) ?? Math.ceil(rough / 86_400) * 86_400;
}

function axisLabel(seconds: number, step: number): string {
  if (step < 1) return `${seconds.toFixed(step < 0.1 ? 2 : 1)} s`;
  if (seconds < 120 && step < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))}${step < 60 ? `:${two(whole % 60)}` : " h"}`;
}
