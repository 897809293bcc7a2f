/** Lines and bars over time, by uPlot, with a table for those who do not see them. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colour, onThemeChange } from "../session";

export interface Line {
  key: string;
  label: string;
  /** A custom property. */
  colour: string;
  bars?: boolean;
  area?: boolean;
}

interface Given {
  title: string;
  unit: string;
  times: number[];
  series: Record<string, (number | null | undefined)[]>;
  lines: Line[];
}

const HEIGHT = 190;
const DAY = 86_400;

export function Chart(given: Given) {
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const data = (): uPlot.AlignedData => [
    given.times,
    ...given.lines.map((line) => (given.series[line.key] ?? []).map((n) => n ?? null)),
  ];
  const newest = useRef(data);
  newest.current = data;

  useEffect(() => {
    const place = element.current;
    if (!place) return undefined;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(given.lines, place.clientWidth || 320), newest.current(), place);
    };
    make();
    const watcher = new ResizeObserver(() => plot.current?.setSize({ width: place.clientWidth, height: HEIGHT }));
    watcher.observe(place);
    const unlisten = onThemeChange(make);
    return () => {
      unlisten();
      watcher.disconnect();
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data()), [given.times, given.series]);

  const totals = given.lines.map((line) => {
    const values = (given.series[line.key] ?? []).map((n) => n ?? 0);
    return `${line.label}: now ${values.at(-1) ?? 0}, at most ${Math.max(0, ...values)}`;
  });
  return (
    <figure class="chart">
      <figcaption>
        <b>{given.title}</b> <span class="faint">{given.unit}</span>
        <ul class="legend">
          {given.lines.map((line) => (
            <li key={line.key}>
              <span class={`swatch c${line.colour.slice(1)}`} /> {line.label}
            </li>
          ))}
        </ul>
      </figcaption>
      {given.times.length < 2 && <p class="empty">Two looks at the queues make a line: a few seconds more.</p>}
      <div ref={element} role="img" class={given.times.length < 2 ? "hidden" : ""} aria-label={`${given.title}. ${totals.join("; ")}`} />
    </figure>
  );
}

function options(lines: Line[], width: number): uPlot.Options {
  const [faint, line] = [colour("--faint"), colour("--line")];
  const axis: uPlot.Axis = {
    stroke: faint,
    font: "11px system-ui, sans-serif",
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    padding: [10, 8, 0, 0],
    scales: { y: { range: (_, __, most) => [0, Math.max(4, most * 1.08)] } },
    axes: [
      { ...axis, size: 28, values: (_, splits, __, ___, step) => splits.map((at) => clock(at, step >= DAY)) },
      { ...axis, size: 44, values: (_, splits) => splits.map(short) },
    ],
    series: [
      {},
      ...lines.map((one): uPlot.Series => {
        const ink = colour(one.colour);
        const bars = one.bars ? uPlot.paths.bars?.({ size: [0.8, 24] }) : undefined;
        return {
          label: one.label,
          stroke: ink,
          width: one.bars ? 0 : 1.6,
          points: { show: false },
          ...(one.bars || one.area ? { fill: faded(ink, one.bars ? 0.85 : 0.18) } : {}),
          ...(bars ? { paths: bars } : {}),
        };
      }),
    ],
  };
}

const faded = (ink: string, alpha: number): string => `color-mix(in srgb, ${ink} ${alpha * 100}%, transparent)`;

function clock(seconds: number, days: boolean): string {
  const at = new Date(seconds * 1000);
  if (days) return at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

function short(n: number): string {
  if (n >= 1e6) return `${n / 1e6}M`;
  return n >= 1e4 ? `${n / 1e3}k` : String(n);
}
