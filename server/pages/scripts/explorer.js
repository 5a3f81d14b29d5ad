/**
 * The page of one collection: a map of one parameter at one time, and its course in time at a chosen point.
 *
 * The page asks the same public EDR queries as every client (`cube` for the map, `position` for the plot); what it may
 * ask for it learns from the axes document. Its state stands in the address, so a view can be bookmarked.
 */
import { read, valuesAlong, withParameter } from "./coveragejson.js";
import { legend } from "./legend.js";
import { DataMap } from "./map.js";
import { number, place, scaleOf } from "./palette.js";
import { getJson, queryUrl } from "./queries.js";
import { SeriesPlot, summary } from "./series.js";
import { TimeAxis } from "./times.js";
import "leaflet/dist/leaflet.css";
import "uplot/dist/uPlot.min.css";
import "./explorer.css";

/** More cells than this are not painted at once: the answer would be some 10 MB of JSON. */
const MAX_CELLS = 600_000;
/** A longer series is asked for in parts. */
const MAX_TIMES = 20_000;
const FORMATS = ["CoverageJSON", "NetCDF", "CSV"];

const byId = (id) => document.getElementById(id);

class Explorer {
  constructor(root, axesDocument) {
    this.root = root;
    this.collection = root.dataset.collection;
    this.axes = axesDocument.axes;
    this.parameters = axesDocument.parameters;
    this.bbox = axesDocument.bbox;
    this.pending = { map: null, series: null };
    this.point = null;
    const coastline = { coast: root.dataset.coastline, detail: root.dataset.coastlineDetail };
    this.view = new DataMap(byId("map"), coastline, this.bbox);
    this.plot = new SeriesPlot(byId("plot"), byId("series-rows"), byId("series-note"));
  }

  /** Fill the controls from the axes and the address, wire them, and draw. */
  async start() {
    const wanted = new URLSearchParams(location.search);
    const chooser = byId("parameter");
    for (const { name, label, units } of this.parameters) {
      chooser.add(new Option(`${label}${units ? ` (${units})` : ""}`, name));
    }
    if (this.parameters.some(({ name }) => name === wanted.get("parameter"))) chooser.value = wanted.get("parameter");
    this.takeParameter(wanted);
    this.wire();
    this.view.drawCoast().catch(() => this.say("map", "The coastline could not be loaded."));
    const point = (wanted.get("point") ?? "").split(",").map(Number);
    const tasks = [this.loadMap()];
    if (point.length === 2 && point.every(Number.isFinite)) tasks.push(this.choose(...point));
    await Promise.all(tasks);
  }

  wire() {
    byId("parameter").addEventListener("change", () => {
      this.takeParameter(this.state());
      this.refresh();
    });
    const step = { first: () => 0, previous: (i) => i - 1, next: (i) => i + 1, last: () => this.time.count - 1 };
    for (const [id, move] of Object.entries(step)) {
      byId(`time-${id}`).addEventListener("click", () => this.goTo(move(this.timeIndex)));
    }
    byId("time-slider").addEventListener("input", (event) => this.showTime(Number(event.target.value)));
    byId("time-slider").addEventListener("change", (event) => this.goTo(Number(event.target.value)));
    byId("time").addEventListener("change", (event) => {
      const index = this.time.nearest(event.target.value);
      if (index === null) this.say("map", `“${event.target.value}” is not a date; write it like 2020-01-31T06:00:00Z.`);
      else this.goTo(index);
    });
    byId("point-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose(byId("longitude").valueAsNumber, byId("latitude").valueAsNumber);
    });
    byId("period-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.loadSeries();
    });
    const { map } = this.view;
    map.on("click", ({ latlng }) => this.choose(latlng.lng, latlng.lat));
    map.on("moveend", () => {
      this.view.drawCoast().catch(() => {});
      if (this.isPartial()) this.loadMap();
    });
    map.on("mousemove", ({ latlng }) => this.readOut(latlng));
    map.on("mouseout", () => (byId("readout").textContent = ""));
  }

  /** Make the choosers of time, level and other dimensions for the chosen parameter. */
  takeParameter(wanted) {
    this.parameter = this.parameters.find(({ name }) => name === byId("parameter").value);
    const axes = this.parameter.axes.map((dimension) => this.axes[dimension]);
    const timeAxis = axes.find(({ kind }) => kind === "t");
    this.time = timeAxis ? new TimeAxis(timeAxis) : null;
    this.crossed = axes.filter(({ kind }) => kind === "z" || kind === "custom");
    byId("time-controls").hidden = !this.time;
    byId("period-form").hidden = !this.time || this.time.count < 2;
    if (this.time) {
      byId("time-slider").max = this.time.count - 1;
      this.showTime((wanted.get("time") && this.time.nearest(wanted.get("time"))) || 0);
      this.resetPeriod();
    }
    const choosers = this.crossed.map((axis) => {
      const label = document.createElement("label");
      label.textContent = `${axis.label}${axis.units ? ` (${axis.units})` : ""}`;
      const select = label.appendChild(document.createElement("select"));
      select.name = axis.key;
      for (const value of axis.values) select.add(new Option(value, value));
      if (axis.values.includes(wanted.get(axis.key))) select.value = wanted.get(axis.key);
      select.addEventListener("change", () => this.refresh());
      return label;
    });
    byId("dimensions").replaceChildren(...choosers);
  }

  resetPeriod() {
    const half = MAX_TIMES / 2;
    const from = this.time.count <= MAX_TIMES ? 0 : Math.max(0, Math.min(this.timeIndex - half, this.time.count - MAX_TIMES));
    byId("period-from").value = this.time.text(from);
    byId("period-to").value = this.time.text(Math.min(this.time.count, from + MAX_TIMES) - 1);
  }

  /** The view as parameters of the page's address. */
  state() {
    const state = new URLSearchParams({ parameter: this.parameter.name });
    if (this.time) state.set("time", this.time.text(this.timeIndex));
    for (const select of byId("dimensions").querySelectorAll("select")) state.set(select.name, select.value);
    if (this.point) state.set("point", this.point.map((degrees) => degrees.toFixed(4)).join(","));
    return state;
  }

  remember() {
    history.replaceState(null, "", `?${this.state()}`);
  }

  showTime(index) {
    this.timeIndex = Math.max(0, Math.min(this.time.count - 1, index));
    byId("time-slider").value = this.timeIndex;
    byId("time").value = this.time.text(this.timeIndex);
    byId("time-count").textContent = `${this.timeIndex + 1} of ${this.time.count}`;
    byId("time-first").disabled = byId("time-previous").disabled = this.timeIndex === 0;
    byId("time-last").disabled = byId("time-next").disabled = this.timeIndex === this.time.count - 1;
  }

  goTo(index) {
    this.showTime(index);
    this.loadMap();
  }

  refresh() {
    this.loadMap();
    if (this.point) this.loadSeries();
  }

  /** What both queries have in common: the parameter and the chosen level, member and so on. */
  common() {
    const chosen = [...byId("dimensions").querySelectorAll("select")].map(({ name, value }) => [name, value]);
    return { "parameter-name": this.parameter.name, ...Object.fromEntries(chosen) };
  }

  cells() {
    const sizes = this.parameter.axes.map((name) => this.axes[name]).filter(({ kind }) => kind === "x" || kind === "y");
    return sizes.reduce((product, { count }) => product * count, 1);
  }

  /** Whether the grid is so large that only what is in view is asked for. */
  isPartial() {
    return this.cells() > MAX_CELLS;
  }

  async loadMap() {
    this.remember();
    const box = this.isPartial() ? this.view.visibleBox() : this.bbox;
    const [west, south, east, north] = this.bbox;
    const share = box ? ((box[2] - box[0]) * (box[3] - box[1])) / ((east - west) * (north - south)) : 0;
    if (this.cells() * share > MAX_CELLS) {
      this.clearMap();
      const millions = ((this.cells() * share) / 1e6).toFixed(1);
      this.say("map", `The view holds about ${millions} million cells; zoom in to see the data (at most ${MAX_CELLS / 1e6} million).`);
      this.root.dataset.map = "too-large";
      return;
    }
    if (!box) return;
    const time = this.time ? this.time.text(this.timeIndex) : null;
    const query = { bbox: box.map((degrees) => Number(degrees.toFixed(6))).join(","), datetime: time, ...this.common() };
    this.offer(byId("map-downloads"), "cube", query);
    await this.run("map", "cube", query, (coverages) => {
      const coverage = withParameter(coverages, this.parameter.name);
      const grid = {
        x: coverage.axes.get("x"),
        y: coverage.axes.get("y"),
        values: valuesAlong(coverage, this.parameter.name, ["y", "x"]),
      };
      const scale = scaleOf(grid.values);
      this.legend(scale);
      if (!scale) {
        this.view.field.clear();
        return "Every value of this map is missing.";
      }
      this.view.field.setGrid(grid, scale);
      return "";
    });
  }

  clearMap() {
    this.view.field.clear();
    this.legend(null);
  }

  async choose(longitude, latitude) {
    if (!Number.isFinite(longitude) || !Number.isFinite(latitude) || Math.abs(latitude) > 90) {
      this.say("series", "Longitude and latitude must be numbers; latitude from -90 to 90.");
      return;
    }
    const wrapped = longitude >= -180 && longitude <= 180 ? longitude : ((((longitude + 180) % 360) + 360) % 360) - 180;
    this.point = [wrapped, latitude];
    byId("longitude").value = Number(wrapped.toFixed(4));
    byId("latitude").value = Number(latitude.toFixed(4));
    this.view.mark(wrapped, latitude);
    this.remember();
    await this.loadSeries();
  }

  async loadSeries() {
    if (!this.point) {
      this.say("series", "Choose a point first.");
      return;
    }
    const [longitude, latitude] = this.point.map((degrees) => Number(degrees.toFixed(4)));
    const query = { coords: `POINT(${longitude} ${latitude})`, datetime: this.period(), ...this.common() };
    byId("series").hidden = false;
    this.offer(byId("series-downloads"), "position", query);
    await this.run("series", "position", query, (coverages) => {
      const { name, label, units } = this.parameter;
      const coverage = withParameter(coverages, name);
      const values = Array.from(valuesAlong(coverage, name, ["t"]));
      const times = coverage.axes.get("t") ?? [];
      const at = ["x", "y"].map((axis) => Number(coverage.axes.get(axis)[0]));
      byId("series-title").textContent = `${label} at the grid point ${place(...at)}`;
      if (times.length === 0) {
        this.plot.clear();
        return `${number(values[0])} ${units ?? ""}`;
      }
      this.plot.show({ times, values, calendar: this.time.calendar, label, units });
      return summary(values);
    });
  }

  /** The interval of the plot, or null for all times. */
  period() {
    if (!this.time) return null;
    const [from, to] = [byId("period-from").value.trim(), byId("period-to").value.trim()];
    const all = from === this.time.text(0) && to === this.time.text(this.time.count - 1);
    return all || (!from && !to) ? null : `${from || ".."}/${to || ".."}`;
  }

  /** Ask one query for one part of the page; a newer question of the same part ends an older one. */
  async run(part, kind, query, draw) {
    this.pending[part]?.abort();
    const controller = new AbortController();
    this.pending[part] = controller;
    this.root.dataset[part] = "loading";
    this.say(part, "Loading…", "busy");
    try {
      const url = queryUrl(this.collection, kind, { ...query, f: "CoverageJSON" });
      const coverages = read(await getJson(url, controller.signal));
      if (this.pending[part] !== controller) return;
      this.say(part, draw(coverages));
      this.root.dataset[part] = "ready";
    } catch (error) {
      if (this.pending[part] !== controller) return;
      if (part === "map") this.clearMap();
      else this.plot.clear();
      this.say(part, error.message, "error");
      this.root.dataset[part] = "error";
    }
  }

  say(part, text, kind = "") {
    const status = byId(`${part}-status`);
    status.textContent = text;
    status.className = `status ${kind}`;
  }

  offer(element, kind, query) {
    const links = FORMATS.map((format) => {
      const link = document.createElement("a");
      link.href = queryUrl(this.collection, kind, { ...query, f: format });
      link.textContent = format;
      return link;
    });
    element.replaceChildren("This query as ", ...links);
  }

  readOut({ lng, lat }) {
    const value = this.view.field.valueAt(lng, lat);
    const text = value === null ? "" : ` · ${number(value)}${Number.isNaN(value) ? "" : ` ${this.parameter.units ?? ""}`}`;
    byId("readout").textContent = `${lng.toFixed(2)}°, ${lat.toFixed(2)}°${text}`;
  }

  legend(scale) {
    legend(scale, `${this.parameter.label}${this.parameter.units ? ` (${this.parameter.units})` : ""}`);
  }
}

const root = byId("explorer");
if (root) {
  try {
    const axesDocument = await getJson(root.dataset.axes);
    root.hidden = false;
    await new Explorer(root, axesDocument).start();
  } catch (error) {
    root.dataset.map = "error";
    root.hidden = false;
    byId("map-status").textContent = error.message;
  }
}
