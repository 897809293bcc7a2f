/** What the job covers: footprints on a base map that is shipped with the page, and a list with thumbnails. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api";
import { bytes, count, plural } from "../format";
import type { JobPart } from "../job/job";
import { usePolled } from "../polling";
import { ENDED, type CoverageAnswer, type Feature } from "../types";
import { Empty, ErrorNote, Loading } from "../ui/parts";
import type { Chart } from "./chart";
import { type Drawn, type Seen, useLayers } from "./layers";
import { Thumbnail } from "./thumbnail";

const LISTED = 300;
const KINDS = { cog: "COGs", item: "STAC items", raster: "Rasters", layer: "Layers" } as const;

export function MapView({ job, version, open }: JobPart) {
  const ended = ENDED.has(job.status);
  const found = usePolled(
    `coverage ${job.job_id} ${job.run} ${ended ? version : ""}`,
    (signal) => ask<CoverageAnswer>(`jobs/${job.job_id}/coverage?run=${job.run}&limit=2000`, { signal }),
    { every: 8000, live: () => !ended },
  );
  if (found.error && !found.value) return <ErrorNote error={found.error} retry={found.refresh} />;
  if (!found.value) return <Loading what="the map" />;
  const { features, truncated, without_place: lost } = found.value;
  if (features.length === 0) {
    return (
      <Empty>
        Nothing of this job has a place on the map{ended ? "" : " yet"}.
        {lost > 0 && ` ${plural(lost, "raster or layer", "rasters or layers")} have no place on the Earth.`}
      </Empty>
    );
  }
  return <Covered features={features} truncated={truncated} open={open} />;
}

function Covered(props: { features: Feature[]; truncated: boolean; open: JobPart["open"] }) {
  const { features } = props;
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | undefined>(undefined);
  const [chosen, setChosen] = useState(-1);
  const [ready, setReady] = useState(false);
  const [seen, setSeen] = useState<Seen>();
  const drawn = useLayers(features, seen);
  useEffect(() => {
    let over = false;
    void import("./chart").then(({ Chart }) => {
      if (over || !element.current) return;
      chart.current = new Chart(element.current, setChosen, setSeen);
      setReady(true);
    });
    return () => {
      over = true;
      chart.current?.remove();
    };
  }, []);
  useEffect(() => chart.current?.show(features), [ready, features]);
  useEffect(() => drawn.forEach((layer, name) => layer && chart.current?.draw(name, layer.features)), [ready, drawn]);
  useEffect(() => {
    chart.current?.choose(chosen);
    document.getElementById(`feature-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const kinds = (Object.keys(KINDS) as (keyof typeof KINDS)[]).filter((kind) =>
    features.some((feature) => feature.properties.kind === kind),
  );
  return (
    <>
      <ul class="legend">
        {kinds.map((kind) => (
          <li key={kind}>
            <span class={`swatch k-${kind}`} /> {KINDS[kind]}{" "}
            {count(features.filter((feature) => feature.properties.kind === kind).length)}
          </li>
        ))}
        {props.truncated && <li class="faint">there is more than is shown</li>}
      </ul>
      <div class="map">
        <div ref={element} class="map-frame" role="region" aria-label="Map of what the job covers" />
        <ul class="map-list" aria-label="What the job covers">
          {features.slice(0, LISTED).map((feature, n) => (
            <li key={n} id={`feature-${n}`}>
              <button type="button" class="map-item" aria-pressed={n === chosen} onClick={() => setChosen(n)}>
                {feature.properties.thumbnail ? (
                  <Thumbnail path={feature.properties.thumbnail} name={feature.properties.title} />
                ) : (
                  <span class={`thumbnail none k-${feature.properties.kind}`} aria-hidden="true" />
                )}
                <span class="map-text">
                  <b>{feature.properties.title}</b>
                  <span class="faint">{about(feature, drawn.get(feature.properties.title))}</span>
                </span>
              </button>
              {n === chosen && feature.properties.task_index !== undefined && (
                <button
                  type="button"
                  class="small"
                  onClick={() =>
                    props.open({ stage: feature.properties.stage ?? 1, index: feature.properties.task_index ?? 0 })
                  }
                >
                  Open its task
                </button>
              )}
            </li>
          ))}
        </ul>
      </div>
      <p class="faint hint">
        Land: Natural Earth (public domain), degrees of longitude and latitude. Of layers their extents are shown, and at
        most 1,000 features of what is in sight.
      </p>
    </>
  );
}

function about({ properties: p }: Feature, drawn: Drawn | null | undefined): string {
  switch (p.kind) {
    case "cog":
      return `COG in ${p.container} · ${bytes(p.size)}`;
    case "item":
      return p.collection ? `STAC item of ${p.collection}` : "STAC item";
    case "layer":
      return [`${p.geometry_type} layer · ${plural(p.row_count ?? 0, "row")}`, ...within(drawn)].join(" · ");
    case "raster":
      return `raster · task ${p.stage}.${p.task_index}`;
  }
}

function within(drawn: Drawn | null | undefined): string[] {
  if (drawn === undefined) return [];
  if (drawn === null) return ["extent only"];
  if (drawn.matched > drawn.features.length) return [`${count(drawn.features.length)} of ${count(drawn.matched)} in sight`];
  return [`${count(drawn.matched)} in sight`];
}
