/** Colours and problem texts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { colourIndex, colours, number, place, scaleOf, shortNumber } from "../../server/pages/scripts/palette.js";
import { problemText, queryUrl } from "../../server/pages/scripts/queries.js";

test("the scale spans the values and knows what it cuts", () => {
  const values = Float64Array.from({ length: 1001 }, (_, i) => (i === 500 ? NaN : 200 + i));
  const scale = scaleOf(values);
  assert.ok(scale.low >= 200 && scale.high <= 1200 && scale.below && scale.above && !scale.diverging);
  assert.equal(colourIndex(scale.low, scale), 0);
  assert.equal(colourIndex(1e9, scale), 255);
  assert.equal(scaleOf([NaN]), null);
  assert.ok(scaleOf([5]).low < scaleOf([5]).high);
  const winds = scaleOf(Float64Array.from({ length: 101 }, (_, i) => i - 40));
  assert.ok(winds.diverging && winds.low === -winds.high);
});

test("a rare value among zeros is still seen", () => {
  const rain = new Float64Array(10_000);
  rain[17] = 3;
  const scale = scaleOf(rain);
  assert.deepEqual([scale.low, scale.high], [0, 3]);
});

test("colours are 256 triples, and numbers are short", () => {
  for (const diverging of [true, false]) {
    assert.equal(colours(diverging).length, 256);
    assert.ok(colours(diverging).flat().every((c) => Number.isInteger(c) && c >= 0 && c <= 255));
  }
  assert.equal(number(Math.fround(287.15)), "287.15");
  assert.equal(number(NaN), "missing");
  assert.equal(shortNumber(281.23456, 20), "281");
  assert.equal(shortNumber(0.00012345, 0.0004), "0.00012");
  assert.equal(place(327.5, -2.5), "32.5°W, 2.5°S");
  assert.equal(place(180, Math.fround(7.6e-6)), "180°E, 0°");
});

test("queries are escaped, and problems become sentences", () => {
  assert.equal(
    queryUrl("/ogc/collections/a", "position", { coords: "POINT(-30 0)", datetime: null, z: "" }),
    "/ogc/collections/a/position?coords=POINT%28-30+0%29",
  );
  assert.equal(problemText({ title: "Bad Request", detail: "z has no level 3", valid: "one of 1, 2" }, 400), "Z has no level 3. Valid: one of 1, 2.");
  assert.equal(problemText({}, 502), "The server answered 502.");
});
