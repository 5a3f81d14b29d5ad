/** The page's calendars against dates that are known, and against JavaScript's own Date where that is right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, fields, format, parse, ticks } from "../../server/pages/scripts/calendar.js";
import { TimeAxis } from "../../server/pages/scripts/times.js";

test("the Gregorian calendar agrees with Date over 4,000 years", () => {
  for (let day = -700_000; day < 800_000; day += 997) {
    const text = new Date(day * DAY * 1000).toISOString();
    if (text.startsWith("-")) continue;
    assert.equal(parse(text, "proleptic_gregorian"), day * DAY);
    assert.equal(format(day * DAY + 3661, "proleptic_gregorian"), `${text.slice(0, 10)}T01:01:01Z`);
  }
});

test("every calendar gives back what it was given", () => {
  for (const calendar of ["standard", "julian", "noleap", "365_day", "all_leap", "366_day", "360_day"]) {
    for (let day = -800_000; day < 100_000; day += 331) {
      const seconds = day * DAY + 7200;
      assert.equal(parse(format(seconds, calendar), calendar), seconds, `${calendar} ${day}`);
    }
  }
});

test("the days of each calendar exist", () => {
  const days = (from, to, calendar) => (parse(to, calendar) - parse(from, calendar)) / DAY;
  assert.equal(days("2000-02-28", "2000-03-01", "360_day"), 3);
  assert.equal(days("2000-02-28", "2000-03-01", "noleap"), 1);
  assert.equal(days("2001-02-28", "2001-03-01", "all_leap"), 2);
  assert.equal(days("1582-10-04", "1582-10-15", "standard"), 1);
  assert.equal(days("1582-10-04", "1582-10-15", "proleptic_gregorian"), 11);
  assert.equal(days("1900-02-28", "1900-03-01", "julian"), 2);
  assert.deepEqual(fields(parse("2000-02-30T12:00:00Z", "360_day"), "360_day"), {
    year: 2000, month: 2, day: 30, hour: 12, minute: 0, second: 0,
  });
});

test("what is no date is null", () => {
  for (const text of ["", "yesterday", "2020-13-01", "2020-01-01T25", "20200101"]) {
    assert.equal(parse(text, "standard"), null, text);
  }
});

test("ticks are whole units of the calendar, few, and in range", () => {
  const years = ticks(parse("1860-06-01", "360_day"), parse("2099-12-30", "360_day"), "360_day", 8);
  assert.ok(years.labels.every((label) => /^\d{4}$/.test(label)) && years.labels.length >= 3);
  const months = ticks(parse("2020-01-15", "noleap"), parse("2020-11-01", "noleap"), "noleap", 6);
  assert.ok(months.labels.every((label) => /^2020-\d\d$/.test(label)));
  const hours = ticks(parse("2020-02-28T22:00Z", "standard"), parse("2020-02-29T10:00Z", "standard"), "standard", 6);
  assert.deepEqual(hours.labels, ["2020-02-29", "03:00", "06:00", "09:00"]);
  for (const { places } of [years, months, hours]) {
    assert.ok(places.length <= 9);
    assert.deepEqual(places, [...places].sort((a, b) => a - b));
  }
});

test("a regular axis counts like a listed one", () => {
  const first = "2020-02-28T18:00:00Z";
  const values = Array.from({ length: 9 }, (_, i) => format(parse(first, "noleap") + i * 21600, "noleap"));
  const listed = new TimeAxis({ calendar: "noleap", count: 9, first, values });
  const regular = new TimeAxis({ calendar: "noleap", count: 9, first, step_seconds: 21600 });
  assert.equal(values[1], "2020-03-01T00:00:00Z");
  for (let i = 0; i < 9; i += 1) {
    assert.equal(regular.text(i), listed.text(i));
    assert.equal(regular.nearest(listed.text(i)), i);
    assert.equal(listed.nearest(listed.text(i)), i);
  }
  for (const axis of [listed, regular]) {
    assert.equal(axis.nearest("1900-01-01"), 0);
    assert.equal(axis.nearest("2100-01-01"), 8);
    assert.equal(axis.nearest("never"), null);
  }
});
