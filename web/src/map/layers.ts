/** Features of layers within what the map shows, from the features API, bounded; without it, their extents stay. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, ask, query } from "../api";
import type { Feature } from "../types";

/** Layers are asked for one after the other, the first so many that are in sight. */
const MOST_LAYERS = 5;
const MOST_FEATURES = 1000;
/** The map is at rest for so long before it is asked what is there. */
const REST_MS = 350;

export interface Seen {
  west: number;
  south: number;
  east: number;
  north: number;
  /** Degrees of longitude. */
  pixel: number;
}

/** What is drawn of a layer; null where the API has none of it. */
export interface Drawn {
  features: GeoJSON.Feature[];
  matched: number;
}

interface Items {
  features: GeoJSON.Feature[];
  numberMatched?: number;
}

/** By the layer's name. */
export function useLayers(features: Feature[], seen: Seen | undefined): Map<string, Drawn | null> {
  const [drawn, setDrawn] = useState<Map<string, Drawn | null>>(new Map());
  const names = seen ? inSight(features, seen) : [];
  const key = JSON.stringify([names, seen]);
  useEffect(() => {
    if (!seen || names.length === 0) return undefined;
    const stop = new AbortController();
    const look = async () => {
      for (const name of names) {
        const found = await itemsOf(name, seen, stop.signal);
        if (stop.signal.aborted) return;
        setDrawn((before) => new Map(before).set(name, found));
      }
    };
    const timer = setTimeout(() => void look(), REST_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key]);
  return drawn;
}

async function itemsOf(name: string, seen: Seen, signal: AbortSignal): Promise<Drawn | null> {
  const given = query({
    bbox: [seen.west, seen.south, seen.east, seen.north].map((n) => n.toFixed(6)).join(","),
    limit: MOST_FEATURES,
    // What is less than a pixel is not seen.
    simplify: seen.pixel.toPrecision(3),
  });
  try {
    const items = await ask<Items>(`features/collections/${encodeURIComponent(name)}/items${given}`, { signal });
    const placed = items.features.filter((one) => one.geometry !== null);
    return { features: placed, matched: items.numberMatched ?? placed.length };
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) return null;
    throw error;
  }
}

function inSight(features: Feature[], seen: Seen): string[] {
  const names = features
    .filter((feature) => feature.properties.kind === "layer" && meets(feature.geometry, seen))
    .map((feature) => feature.properties.title);
  return [...new Set(names)].slice(0, MOST_LAYERS);
}

/** Extents of layers are boxes, in two parts where they cross the antimeridian. */
function meets(geometry: GeoJSON.Geometry, seen: Seen): boolean {
  const rings =
    geometry.type === "Polygon" ? [geometry.coordinates] : geometry.type === "MultiPolygon" ? geometry.coordinates : [];
  return rings.some(([ring = []]) => {
    const [x, y] = [ring.map(([lon = 0]) => lon), ring.map(([, lat = 0]) => lat)];
    return (
      Math.min(...x) <= seen.east && Math.max(...x) >= seen.west && Math.min(...y) <= seen.north && Math.max(...y) >= seen.south
    );
  });
}
