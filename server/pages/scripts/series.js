/** How does one parameter change in time at one place? A plot by uPlot, and the same numbers as a table. */
import uPlot from "uplot";
import { format, parse, ticks } from "./calendar.js";
import { number } from "./palette.js";

const TABLE_ROWS = 500;
const ISO_CALENDARS = ["standard", "gregorian", "proleptic_gregorian"];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = "12px system-ui, sans-serif";

export class SeriesPlot {
  constructor(figure, tableBody, tableNote) {
    this.figure = figure;
    this.tableBody = tableBody;
    this.tableNote = tableNote;
    this.plot = null;
    this.shown = null;
    new ResizeObserver(() => this.resize()).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.shown && this.draw(this.shown));
  }

  /**
   * Draw a series.
   *
   * `series`: {times: ISO texts, values: numbers with NaN, calendar, label, units}.
   */
  show(series) {
    this.shown = series;
    this.draw(series);
    this.fillTable(series);
  }

  clear() {
    this.shown = null;
    this.plot?.destroy();
    this.plot = null;
    this.tableBody.replaceChildren();
    this.tableNote.textContent = "";
  }

  draw({ times, values, calendar, label, units }) {
    this.plot?.destroy();
    const points = times.map((text, i) => [parse(text, calendar), values[i]]).sort((a, b) => a[0] - b[0]);
    const xs = points.map(([t]) => t);
    const ys = points.map(([, value]) => (Number.isNaN(value) ? null : value));
    const axis = { stroke: css("--text"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") }, font: FONT };
    const spots = (u, min, max) => ticks(min, max, calendar, Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / 90)));
    // A single time has no width: give it a day, so that its tick can be drawn.
    const range = (u, min, max) => (min === max ? [min - 43200, max + 43200] : [min, max]);
    this.plot = new uPlot(
      {
        ...this.size(),
        scales: { x: { time: false, range } },
        series: [
          { label: "Time", value: (u, v) => (v === null ? "–" : format(v, calendar)) },
          {
            label: units ? `${label} (${units})` : label,
            stroke: css("--accent"),
            width: 1.5,
            spanGaps: false,
            points: { show: xs.length <= 120, size: 5 },
            value: (u, v, _, index) => (index === null ? "–" : v === null ? "missing" : number(v)),
          },
        ],
        axes: [
          {
            ...axis,
            splits: (u, _, min, max) => spots(u, min, max).places,
            values: (u) => spots(u, u.scales.x.min, u.scales.x.max).labels,
            label: ISO_CALENDARS.includes(calendar) ? "Time (UTC)" : `Time (${calendar} calendar)`,
            labelFont: FONT,
          },
          { ...axis, label: units || "no units", labelFont: FONT, size: 64 },
        ],
        cursor: { drag: { x: true, y: false } },
      },
      [xs, ys],
      this.figure,
    );
  }

  size() {
    return { width: Math.max(240, this.figure.clientWidth), height: 300 };
  }

  resize() {
    if (this.plot && this.plot.width !== this.size().width) this.plot.setSize(this.size());
  }

  fillTable({ times, values }) {
    const rows = times.slice(0, TABLE_ROWS).map((time, i) => {
      const row = document.createElement("tr");
      for (const text of [time, number(values[i])]) row.appendChild(document.createElement("td")).textContent = text;
      return row;
    });
    this.tableBody.replaceChildren(...rows);
    this.tableNote.textContent =
      times.length > TABLE_ROWS ? `The first ${TABLE_ROWS} of ${times.length} values; download all of them above.` : "";
  }
}

/** Lowest, highest and mean of the present values, and how many are missing, as one sentence. */
export function summary(values) {
  const present = values.filter((v) => !Number.isNaN(v));
  if (present.length === 0) return "Every value here is missing.";
  const total = present.reduce((a, b) => a + b, 0);
  const low = present.reduce((a, b) => Math.min(a, b));
  const high = present.reduce((a, b) => Math.max(a, b));
  const missing = values.length - present.length;
  const text = `${values.length} values: lowest ${number(low)}, mean ${Number((total / present.length).toPrecision(5))}, highest ${number(high)}`;
  return missing ? `${text}; ${missing} missing.` : `${text}.`;
}

