/** What does the map show besides the data? Coastlines of Natural Earth, the extent, the chosen point. No tiles. */
import L from "leaflet";
import { FieldLayer } from "./field.js";
import { coastlines, landRings } from "./land.js";
import { colourIndex, colours } from "./palette.js";
import { getJson } from "./queries.js";

const WORLD = L.latLngBounds([-90, -180], [90, 180]);
/** From this zoom on (256 pixels are 180 degrees at zoom 0) the detailed coastline is worth its 500 kB. */
const DETAIL_ZOOM = 3;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const flip = (line) => line.map(([x, y]) => [y, x]);

export class DataMap {
  /** `addresses`: where the two coastline files are; `bbox`: [west, south, east, north] of the collection, degrees. */
  constructor(element, addresses, bbox) {
    this.addresses = addresses;
    this.map = L.map(element, {
      crs: L.CRS.EPSG4326,
      zoomSnap: 0,
      zoomDelta: 0.5,
      zoomAnimation: false,
      fadeAnimation: false,
      maxZoom: 10,
      maxBounds: WORLD.pad(0.1),
      attributionControl: false,
    });
    for (const [name, level] of [["land", 250], ["field", 300], ["coast", 350]]) {
      const pane = this.map.createPane(name);
      pane.style.zIndex = level;
      if (name !== "field") pane.style.pointerEvents = "none";
    }
    L.control.attribution({ prefix: false }).addAttribution("Coastline: Natural Earth").addTo(this.map);
    this.bounds = L.latLngBounds([bbox[1], bbox[0]], [bbox[3], bbox[2]]);
    this.map.fitBounds(this.bounds.pad(0.02), { animate: false });
    this.map.setMinZoom(Math.min(this.map.getZoom(), this.map.getBoundsZoom(WORLD)));
    this.field = new FieldLayer({ pane: "field" }).addTo(this.map);
    this.frame = L.rectangle(this.bounds, { pane: "coast", fill: false, weight: 1, dashArray: "4 4", interactive: false });
    this.frame.setStyle({ color: css("--accent") }).addTo(this.map);
    this.marker = null;
    this.coast = null;
    this.detail = null;
  }

  /** Draw the coastline that fits the zoom; a coastline that cannot be had leaves the map without one. */
  async drawCoast() {
    const detail = this.map.getZoom() >= DETAIL_ZOOM;
    if (this.detail === detail) return;
    this.detail = detail;
    const topology = await getJson(detail ? this.addresses.detail : this.addresses.coast);
    if (this.detail !== detail) return;
    this.coast?.remove();
    const still = { interactive: false, smoothFactor: 0.5 };
    const land = L.polygon(
      landRings(topology).map((ring) => [flip(ring)]),
      { ...still, pane: "land", renderer: L.canvas({ pane: "land" }), stroke: false, fillOpacity: 1, fillColor: css("--land") },
    );
    const lines = L.polyline(
      coastlines(topology).map(flip),
      { ...still, pane: "coast", renderer: L.canvas({ pane: "coast" }), weight: 1, color: css("--coast") },
    );
    this.coast = L.layerGroup([land, lines]).addTo(this.map);
  }

  /** West, south, east, north of what is in view of the collection's extent; null where that is nothing. */
  visibleBox() {
    const view = this.map.getBounds();
    const west = Math.max(view.getWest(), this.bounds.getWest());
    const east = Math.min(view.getEast(), this.bounds.getEast());
    const south = Math.max(view.getSouth(), this.bounds.getSouth());
    const north = Math.min(view.getNorth(), this.bounds.getNorth());
    return west < east && south < north ? [west, south, east, north] : null;
  }

  /** Draw a dot in the colour of its value at each place; `told` is called with the number of the one under the pointer. */
  dots(xs, ys, values, scale, told) {
    const palette = colours(scale.diverging);
    const renderer = L.canvas({ pane: "field" });
    const layers = xs.map((x, i) => {
      const fillColor = Number.isNaN(values[i]) ? css("--muted") : `rgb(${palette[colourIndex(values[i], scale)].join(" ")})`;
      const at = [ys[i], x > 180 ? x - 360 : x < -180 ? x + 360 : x];
      return L.circleMarker(at, { renderer, radius: 4, stroke: false, fillOpacity: 1, fillColor }).on("mouseover", () => told(i));
    });
    return L.layerGroup(layers).addTo(this.map);
  }

  /** Mark the chosen point. */
  mark(longitude, latitude) {
    this.marker?.remove();
    const style = { radius: 7, weight: 3, color: "#ffffff", fillColor: css("--accent"), fillOpacity: 1, interactive: false };
    this.marker = L.circleMarker([latitude, longitude], style).addTo(this.map);
  }
}
