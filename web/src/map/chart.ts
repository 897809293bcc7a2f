/** The map itself: Leaflet in degrees, so that the poles are on it too. Loaded when a map is opened. */

import L from "leaflet";
import "leaflet/dist/leaflet.css";
import { feature as geojson } from "topojson-client";
import type { Topology } from "topojson-specification";
import landAddress from "world-atlas/land-50m.json?url";
import { colour, onThemeChange } from "../session";
import type { Feature } from "../types";
import type { Seen } from "./layers";

const COLOURS = { cog: "--cog", item: "--item", raster: "--raster", layer: "--layer" } as const;
const SMALLEST_DEGREES = 0.02;

/**
 * Leaflet's canvas forgets a frame that it has asked for when it draws at once meanwhile, so that the frame comes after
 * the map was removed, and fails.
 */
const Canvas = L.Canvas.extend({
  _redraw(this: { _ctx?: unknown }) {
    if (this._ctx) (L.Canvas.prototype as unknown as { _redraw: () => void })._redraw.call(this);
  },
}) as unknown as new (options?: L.RendererOptions) => L.Canvas;

export class Chart {
  private readonly map: L.Map;
  private readonly unlisten: () => void;
  private readonly watcher: ResizeObserver;
  private readonly lines = L.layerGroup();
  private readonly ground = new Canvas({ pane: "land" });
  private readonly inset: Inset;
  private land: L.GeoJSON | undefined;
  private shown: L.GeoJSON | undefined;
  private readonly layers = new Map<number, L.Path>();
  private readonly inside = new Canvas({ pane: "inside" });
  private readonly drawn = new Map<string, L.GeoJSON>();
  private features: Feature[] = [];
  private chosen = -1;
  private fitted = false;
  private removed = false;

  constructor(
    element: HTMLElement,
    private readonly onChoose: (n: number) => void,
    private readonly onSeen: (seen: Seen) => void,
  ) {
    this.map = L.map(element, {
      crs: L.CRS.EPSG4326,
      renderer: new Canvas(),
      attributionControl: false,
      minZoom: 0,
      maxZoom: 14,
      zoomSnap: 0.5,
      worldCopyJump: false,
      maxBounds: [
        [-100, -220],
        [100, 220],
      ],
    });
    this.map.setView([15, 10], 0.5);
    this.map.createPane("land").style.zIndex = "200";
    this.map.createPane("inside").style.zIndex = "300";
    this.lines.addTo(this.map);
    this.inset = new Inset(element);
    this.map.on("moveend", () => this.moved());
    void this.loadLand();
    this.unlisten = onThemeChange(() => this.restyle());
    this.watcher = new ResizeObserver(() => this.map.invalidateSize());
    this.watcher.observe(element);
  }

  /** Replaces what is shown; the first time the map moves there. */
  show(features: Feature[]): void {
    if (this.removed || features === this.features) return;
    this.features = features;
    this.shown?.remove();
    this.layers.clear();
    this.shown = L.geoJSON(undefined, {
      style: (feature) => this.style(feature as Feature, false),
      pointToLayer: (_, at) => L.circleMarker(at, { radius: 5 }),
    });
    features.forEach((feature, n) => {
      const before = new Set(this.shown?.getLayers());
      this.shown?.addData(feature as GeoJSON.Feature);
      for (const layer of this.shown?.getLayers() ?? []) {
        if (before.has(layer)) continue;
        this.layers.set(n, layer as L.Path);
        layer.on("click", () => this.onChoose(n));
        layer.bindTooltip(text(feature.properties.title), { sticky: true });
      }
    });
    this.shown.addTo(this.map);
    const bounds = this.shown.getBounds();
    if (!this.fitted && bounds.isValid()) {
      this.fitted = true;
      this.map.fitBounds(bounds.pad(0.25), { maxZoom: 9, animate: false });
    }
  }

  /** What is in a layer, below its extent, in place of what was drawn of it. */
  draw(name: string, features: GeoJSON.Feature[]): void {
    // They were asked for while the map was there.
    if (this.removed) return;
    this.drawn.get(name)?.remove();
    const layer = L.geoJSON(features, {
      ...({ renderer: this.inside, pane: "inside" } as L.GeoJSONOptions),
      interactive: false,
      style: () => this.insideStyle(),
      pointToLayer: (_, at) => L.circleMarker(at, { radius: 2.5, renderer: this.inside, pane: "inside", interactive: false }),
    });
    this.drawn.set(name, layer);
    layer.addTo(this.map);
  }

  choose(n: number): void {
    if (this.removed) return;
    const before = this.layers.get(this.chosen);
    const old = this.features[this.chosen];
    if (before && old) before.setStyle(this.style(old, false));
    this.chosen = n;
    const layer = this.layers.get(n);
    const feature = this.features[n];
    if (!layer || !feature) return;
    layer.setStyle(this.style(feature, true));
    layer.bringToFront();
    const bounds = L.geoJSON(feature as GeoJSON.Feature).getBounds();
    if (!bounds.isValid()) return;
    if (!this.map.getBounds().contains(bounds) || small(bounds, this.map.getBounds())) {
      this.map.fitBounds(bounds.pad(1), { maxZoom: 10, animate: false });
    }
  }

  remove(): void {
    this.removed = true;
    this.unlisten();
    this.watcher.disconnect();
    this.inset.remove();
    this.map.remove();
  }

  private async loadLand(): Promise<void> {
    const topology = (await (await fetch(landAddress)).json()) as Topology;
    const land = topology.objects.land;
    if (!land || this.removed) return;
    this.land = L.geoJSON(geojson(topology, land), {
      ...({ renderer: this.ground, pane: "land" } as L.GeoJSONOptions),
      interactive: false,
      style: () => this.landStyle(),
    });
    this.land.addTo(this.map).bringToBack();
    this.inset.show(geojson(topology, land));
    this.moved();
  }

  /** Lines of longitude and latitude as dense as fits what is seen, with their degrees at the edges. */
  private moved(): void {
    this.lines.clearLayers();
    const seen = this.map.getBounds();
    this.inset.mark(seen);
    this.tell(seen);
    const [west, east] = [Math.max(-180, seen.getWest()), Math.min(180, seen.getEast())];
    const [south, north] = [Math.max(-90, seen.getSouth()), Math.min(90, seen.getNorth())];
    const step = STEPS.find((one) => (seen.getEast() - seen.getWest()) / one <= 9) ?? 30;
    const style = { renderer: this.ground, pane: "land", interactive: false, weight: 0.8, color: colour("--coast"), opacity: 0.6 };
    const label = (at: L.LatLngExpression, degrees: string, axis: "x" | "y") =>
      L.marker(at, {
        interactive: false,
        keyboard: false,
        icon: L.divIcon({ className: `degrees ${axis}`, html: text(degrees), iconSize: [0, 0] }),
      }).addTo(this.lines);
    for (let x = Math.ceil(west / step) * step; x <= east; x += step) {
      L.polyline([[-90, x], [90, x]], style).addTo(this.lines);
      label([Math.max(seen.getSouth(), -90), x], named(x, "E", "W", step), "x");
    }
    for (let y = Math.ceil(south / step) * step; y <= north; y += step) {
      L.polyline([[y, -180], [y, 180]], style).addTo(this.lines);
      label([y, Math.min(seen.getEast(), 180)], named(y, "N", "S", step), "y");
    }
  }

  private tell(seen: L.LatLngBounds): void {
    const within = (n: number, most: number) => Math.min(Math.max(n, -most), most);
    const [west, east] = [within(seen.getWest(), 180), within(seen.getEast(), 180)];
    const [south, north] = [within(seen.getSouth(), 90), within(seen.getNorth(), 90)];
    // Before the map has a size, and beyond the Earth, there is nothing to be seen.
    if (!(west < east && south < north)) return;
    const pixel = (seen.getEast() - seen.getWest()) / Math.max(this.map.getSize().x, 1);
    this.onSeen({ west, south, east, north, pixel });
  }

  private insideStyle(): L.PathOptions {
    const ink = colour(COLOURS.layer);
    return { color: ink, weight: 1, fillColor: ink, fillOpacity: 0.3 };
  }

  private landStyle(): L.PathOptions {
    return { fillColor: colour("--land"), fillOpacity: 1, color: colour("--coast"), weight: 0.7 };
  }

  private style(feature: Feature, chosen: boolean): L.PathOptions {
    const ink = colour(COLOURS[feature.properties.kind]);
    return { color: ink, weight: chosen ? 3 : 1.5, fillColor: ink, fillOpacity: chosen ? 0.35 : 0.16 };
  }

  private restyle(): void {
    this.land?.setStyle(this.landStyle());
    this.inset.restyle();
    this.drawn.forEach((layer) => layer.setStyle(this.insideStyle()));
    this.moved();
    this.layers.forEach((layer, n) => {
      const feature = this.features[n];
      if (feature) layer.setStyle(this.style(feature, n === this.chosen));
    });
  }
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45];

function named(degrees: number, plus: string, minus: string, step: number): string {
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const text = Math.abs(degrees).toFixed(digits);
  return `${text}°${degrees > step / 2 ? plus : degrees < -step / 2 ? minus : ""}`;
}

/** The whole Earth, small, with what the map shows marked on it. */
class Inset {
  private readonly map: L.Map;
  private land: L.GeoJSON | undefined;
  private box: L.Rectangle | undefined;

  constructor(beside: HTMLElement) {
    const element = document.createElement("div");
    element.className = "map-inset";
    element.ariaHidden = "true";
    beside.append(element);
    this.map = L.map(element, {
      crs: L.CRS.EPSG4326,
      renderer: new Canvas(),
      attributionControl: false,
      zoomControl: false,
      dragging: false,
      keyboard: false,
      scrollWheelZoom: false,
      doubleClickZoom: false,
      boxZoom: false,
      touchZoom: false,
      zoomSnap: 0,
      minZoom: -3,
    });
    this.map.fitBounds(
      [
        [-90, -180],
        [90, 180],
      ],
      { animate: false },
    );
  }

  show(land: GeoJSON.GeoJsonObject): void {
    this.land = L.geoJSON(land, { interactive: false, style: () => this.style() }).addTo(this.map);
    this.box?.bringToFront();
  }

  mark(seen: L.LatLngBounds): void {
    this.box?.remove();
    this.box = undefined;
    // Of what is nearly all there is nothing to be pointed at.
    if (seen.getEast() - seen.getWest() > 240) return;
    const middle = seen.getCenter();
    const [x, y] = [
      Math.max(4, (seen.getEast() - seen.getWest()) / 2),
      Math.max(4, (seen.getNorth() - seen.getSouth()) / 2),
    ];
    this.box = L.rectangle(
      [
        [middle.lat - y, middle.lng - x],
        [middle.lat + y, middle.lng + x],
      ],
      { interactive: false, weight: 2, color: colour("--failed"), fill: false },
    ).addTo(this.map);
  }

  restyle(): void {
    this.land?.setStyle(this.style());
  }

  remove(): void {
    this.map.remove();
  }

  private style(): L.PathOptions {
    return { fillColor: colour("--coast"), fillOpacity: 1, stroke: false };
  }
}

/** Titles are strangers' text: they are set as text, never as HTML. */
function text(title: string): HTMLElement {
  const element = document.createElement("span");
  element.textContent = title;
  return element;
}

function small(bounds: L.LatLngBounds, seen: L.LatLngBounds): boolean {
  const width = Math.max(bounds.getEast() - bounds.getWest(), SMALLEST_DEGREES);
  return width < (seen.getEast() - seen.getWest()) / 40;
}
