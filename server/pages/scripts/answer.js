/**
 * The page of one answer: its values on a map, and along time, height or a path as a plot and a table.
 *
 * The page asks the query it is about once more, as CoverageJSON, and shows what it is told by the axes that the
 * document declares: rows and columns as a field, places (of a path, of cells in no rows) as dots, points as marks.
 */
import { isGeographic, read, valuesAlong } from "./coveragejson.js";
import { legend } from "./legend.js";
import { DataMap } from "./map.js";
import { number, place, scaleOf } from "./palette.js";
import { getJson } from "./queries.js";
import { SeriesPlot, summary } from "./series.js";
import "leaflet/dist/leaflet.css";
import "uplot/dist/uPlot.min.css";
import "./explorer.css";

/** Dots on the map at most; the table and the downloads have them all. */
const MAX_DOTS = 20_000;
const TABLE_ROWS = 500;
const CALENDARS = /calendar-(.+)$/;

const byId = (id) => document.getElementById(id);

/** Degrees around the places of a coverage: [west, south, east, north], never without width or height. */
export function boxOf(xs, ys) {
  const ends = (list) => list.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  const [[west, east], [south, north]] = [ends(xs), ends(ys)];
  const room = (low, high) => Math.max(1, (high - low) * 0.05);
  const [across, up] = [room(west, east), room(south, north)];
  const inside = [west - across, Math.max(-90, south - up), east + across, Math.min(90, north + up)];
  // Longitudes of another turn of the circle: the map has one turn, so the whole of it is shown.
  return inside[0] < -180 || inside[2] > 180 ? [-180, inside[1], 180, inside[3]] : inside;
}

class Answer {
  constructor(root, document) {
    this.root = root;
    this.coverages = read(document);
    this.plot = new SeriesPlot(byId("plot"), byId("series-rows"), byId("series-note"));
    this.view = null;
  }

  start() {
    const names = [...new Set(this.coverages.flatMap(({ ranges }) => [...ranges.keys()]))];
    this.fill("parameter", names, names.map((name) => this.described(name).label));
    for (const id of ["parameter", "coverage", "time", "level"]) {
      byId(id).addEventListener("change", () => (id === "parameter" ? this.takeParameter() : this.takeCoverage(id)));
    }
    this.takeParameter();
  }

  /** Label and units of a parameter. */
  described(name) {
    const parameters = this.coverages.find(({ ranges }) => ranges.has(name)).parameters;
    const { observedProperty, unit } = parameters[name] ?? {};
    const text = (label) => (typeof label === "string" ? label : Object.values(label ?? {})[0]);
    const units = text(unit?.label) ?? "";
    return { label: `${text(observedProperty?.label) ?? name}${units ? ` (${units})` : ""}`, plain: text(observedProperty?.label) ?? name, units };
  }

  /** Put choices into a chooser, which is hidden where there is no choice. */
  fill(id, values, texts) {
    const select = byId(id);
    const before = select.value;
    select.replaceChildren(...values.map((value, i) => new Option(texts[i], value)));
    if (values.includes(before)) select.value = before;
    select.closest("label").hidden = values.length < 2;
  }

  takeParameter() {
    this.name = byId("parameter").value;
    this.fitting = this.coverages.filter(({ ranges }) => ranges.has(this.name));
    this.fill("coverage", this.fitting.map((_, i) => String(i)), this.fitting.map((coverage, i) => this.title(coverage, i)));
    this.takeCoverage("coverage");
  }

  /** What tells a coverage from the others: its location, its member, else its place and level, else its number. */
  title({ axes, composite, members }, index) {
    const told = Object.entries(members["isopleth:dimensions"] ?? {}).map(([name, value]) => `${name} ${value}`);
    const [x, y] = [axes.get("x"), axes.get("y")];
    if (members["isopleth:location"]) told.unshift(members["isopleth:location"].name);
    else if (x?.length === 1 && y?.length === 1) told.unshift(place(x[0], y[0]));
    const z = new Set(axes.get("z") ?? composite.get("z"));
    if (z.size === 1 && this.fitting.length > 1) told.push(`level ${[...z][0]}`);
    return told.join(", ") || `Part ${index + 1}`;
  }

  takeCoverage(changed) {
    this.coverage = this.fitting[Number(byId("coverage").value)];
    const { axes } = this.coverage;
    if (changed !== "time" && changed !== "level") {
      this.fill("time", (axes.get("t") ?? []).map(String), (axes.get("t") ?? []).map(String));
      this.fill("level", (axes.get("z") ?? []).map(String), (axes.get("z") ?? []).map(String));
    }
    const along = (axes.get("x")?.length ?? 1) * (axes.get("y")?.length ?? 1) > 1 ? "grid" : axes.has("composite") ? "places" : "point";
    // At a point time and height are what the plot shows: they are not chosen.
    for (const id of ["time", "level"]) {
      const several = byId(id).options.length > 1;
      byId(id).closest("label").hidden = !several || (along === "point" && !(id === "level" && (axes.get("t")?.length ?? 1) > 1));
    }
    this.draw(along);
    this.root.dataset.answer = "ready";
  }

  /** The coverage with the chosen time and level as the only ones, but for the axes that are shown. */
  chosen(shown) {
    const index = {};
    for (const [axis, id] of [["t", "time"], ["z", "level"]]) {
      const list = this.coverage.axes.get(axis);
      if (list && !shown.includes(axis)) index[axis] = Math.max(0, list.map(String).indexOf(byId(id).value));
    }
    return index;
  }

  draw(kind) {
    const geographic = isGeographic(this.coverage);
    byId("map-panel").hidden = !geographic;
    byId("series").hidden = true;
    legend(null);
    if (!geographic) this.say("The answer is in a projected reference system, which this map does not draw; the values are below and in the files.");
    if (kind === "grid") this.drawGrid(geographic);
    else if (kind === "places") this.drawPlaces(geographic);
    else this.drawPoint(geographic);
    this.root.dataset.kind = kind;
  }

  map(xs, ys) {
    this.view?.map.remove();
    const { coastline, coastlineDetail } = this.root.dataset;
    this.view = new DataMap(byId("map"), { coast: coastline, detail: coastlineDetail }, boxOf(xs, ys));
    this.view.frame.remove();
    const { map } = this.view;
    this.view.drawCoast().catch(() => this.say("The coastline could not be loaded."));
    map.on("moveend", () => this.view.drawCoast().catch(() => {}));
    return this.view;
  }

  drawGrid(geographic) {
    const [x, y] = [this.coverage.axes.get("x"), this.coverage.axes.get("y")];
    const values = valuesAlong(this.coverage, this.name, ["y", "x"], this.chosen(["x", "y"]));
    const scale = scaleOf(values);
    if (geographic) {
      const { map, field } = this.map(x, y);
      if (scale) field.setGrid({ x, y, values }, scale);
      map.on("mousemove", ({ latlng: { lng, lat } }) => this.readOut(lng, lat, field.valueAt(lng, lat)));
      map.on("mouseout", () => (byId("readout").textContent = ""));
      legend(scale, this.described(this.name).label);
      this.say(summary(Array.from(values)));
    }
    const rows = [];
    for (let i = 0; i < Math.min(values.length, TABLE_ROWS); i += 1) {
      rows.push([place(x[i % x.length], y[Math.floor(i / x.length)], !geographic), values[i]]);
    }
    this.table("Place", rows, values.length);
  }

  drawPlaces(geographic) {
    const { composite } = this.coverage;
    const xs = composite.get("x");
    const ys = composite.get("y");
    const values = Array.from(valuesAlong(this.coverage, this.name, ["composite"], this.chosen(["composite"])));
    const scale = scaleOf(Float64Array.from(values));
    if (geographic) {
      const view = this.map(xs, ys);
      if (scale) view.dots(xs.slice(0, MAX_DOTS), ys.slice(0, MAX_DOTS), values, scale, (i) => this.readOut(xs[i], ys[i], values[i]));
      legend(scale, this.described(this.name).label);
      const cut = values.length > MAX_DOTS ? ` The map shows the first ${MAX_DOTS}.` : "";
      this.say(summary(values) + cut);
    }
    const times = composite.get("t");
    if (times) this.series(times, values, "Along the path");
    else this.table("Place", xs.slice(0, TABLE_ROWS).map((x, i) => [place(x, ys[i], !geographic), values[i]]), values.length);
  }

  drawPoint(geographic) {
    const { axes, members } = this.coverage;
    const [x, y] = [axes.get("x")?.[0], axes.get("y")?.[0]];
    if (geographic && x !== undefined) {
      this.map([x], [y]).mark(x > 180 ? x - 360 : x, y);
      const far = members["isopleth:distance"];
      this.say(far === undefined ? "" : `The centre of the cell is ${number(far / 1000)} km from the place that was asked for.`);
    }
    const [times, levels] = [axes.get("t"), axes.get("z")];
    if (times && (times.length > 1 || !levels || levels.length === 1)) {
      const values = Array.from(valuesAlong(this.coverage, this.name, ["t"], this.chosen(["t"])));
      this.series(times, values, `${this.described(this.name).plain} at ${this.title(this.coverage, 0)}`);
    } else if (levels) {
      const values = valuesAlong(this.coverage, this.name, ["z"], this.chosen(["z"]));
      this.table("Level", levels.map((level, i) => [String(level), values[i]]), levels.length);
    } else {
      const values = valuesAlong(this.coverage, this.name, [], {});
      this.table("Place", [[this.title(this.coverage, 0), values[0]]], 1);
    }
  }

  series(times, values, title) {
    const { plain, units } = this.described(this.name);
    byId("series").hidden = false;
    byId("series-title").textContent = title;
    byId("series-first").textContent = "Time";
    byId("plot").hidden = false;
    this.plot.show({ times, values, calendar: this.calendar(), label: plain, units });
    byId("series-status").textContent = summary(values);
  }

  table(first, rows, all) {
    byId("series").hidden = false;
    byId("series-title").textContent = this.described(this.name).label;
    byId("series-first").textContent = first;
    byId("plot").hidden = true;
    this.plot.clear();
    this.plot.fillTable({ times: rows.map(([text]) => text), values: rows.map(([, value]) => value) });
    byId("series-note").textContent = all > rows.length ? `The first ${rows.length} of ${all} values; download all of them above.` : "";
    byId("series-status").textContent = "";
  }

  calendar() {
    const system = this.coverage.referencing.find(({ coordinates }) => coordinates?.includes("t"))?.system;
    return CALENDARS.exec(system?.calendar ?? "")?.[1] ?? "proleptic_gregorian";
  }

  readOut(longitude, latitude, value) {
    const { units } = this.described(this.name);
    const text = value === null ? "" : ` · ${number(value)}${Number.isNaN(value) ? "" : ` ${units}`}`;
    byId("readout").textContent = `${longitude.toFixed(2)}°, ${latitude.toFixed(2)}°${text}`;
  }

  say(text) {
    byId("map-status").textContent = text;
  }
}

const root = byId("answer");
if (root) {
  const fail = (error) => {
    root.dataset.answer = "error";
    byId("map-panel").hidden = true;
    byId("answer-status").textContent = error.message;
    byId("answer-status").className = "status error";
  };
  try {
    byId("answer-status").textContent = "Loading…";
    const document = await getJson(root.dataset.query);
    root.hidden = false;
    byId("answer-status").textContent = "";
    new Answer(root, document).start();
  } catch (error) {
    fail(error);
  }
}
