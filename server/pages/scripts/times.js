/**
 * Which times does a dataset have? A time axis is either listed, or regular (first, step and count) where a list would
 * be long; either way an index becomes exactly the text that the server knows, and a text the nearest index.
 */
import { format, parse } from "./calendar.js";

export class TimeAxis {
  /** `axis`: an axis of the server's axes document with `calendar` and `values`, or `first`, `step_seconds`, `count`. */
  constructor(axis) {
    this.calendar = axis.calendar;
    this.count = axis.count;
    this.listed = axis.values ?? null;
    this.step = axis.step_seconds ?? null;
    this.start = parse(axis.first, axis.calendar);
  }

  /** ISO 8601 text of the time at an index. */
  text(index) {
    return this.listed ? this.listed[index] : format(this.start + index * this.step, this.calendar);
  }

  /** Seconds of the time at an index, on the time line of the calendar. */
  seconds(index) {
    return this.listed ? parse(this.listed[index], this.calendar) : this.start + index * this.step;
  }

  /** Index of the time nearest to a text, or null where the text is not a date. */
  nearest(text) {
    const wanted = parse(text, this.calendar);
    if (wanted === null) return null;
    if (!this.listed) {
      return Math.max(0, Math.min(this.count - 1, Math.round((wanted - this.start) / this.step)));
    }
    let best = 0;
    let distance = Infinity;
    for (let index = 0; index < this.count; index += 1) {
      const apart = Math.abs(this.seconds(index) - wanted);
      if (apart < distance) [best, distance] = [index, apart];
    }
    return best;
  }
}
