/** The reader decodes by declared axes: any order of axes and any direction give the same numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CoverageError, isGeographic, read, valuesAlong, withParameter } from "../../server/pages/scripts/coveragejson.js";

const AXES = { t: ["2020-01-01T00:00:00Z"], y: [10, 0, -10], x: [0, 5, 10, 15], number: [7] };
const value = (y, x) => (y === 0 && x === 5 ? null : y * 100 + x);

function document(names, change = {}) {
  let rows = [{}];
  for (const name of names) rows = rows.flatMap((row) => AXES[name].map((v) => ({ ...row, [name]: v })));
  const axes = Object.fromEntries(Object.entries(AXES).map(([name, values]) => [name, { values }]));
  return {
    type: "Coverage",
    domain: { type: "Domain", axes },
    ranges: {
      a: {
        type: "NdArray", dataType: "float", axisNames: names, shape: names.map((name) => AXES[name].length),
        values: rows.map(({ y, x }) => value(y, x)), ...change,
      },
    },
  };
}

function permutations(list) {
  if (list.length < 2) return [list];
  return list.flatMap((item, i) => permutations(list.toSpliced ? list.toSpliced(i, 1) : list.filter((_, k) => k !== i)).map((rest) => [item, ...rest]));
}

test("all 24 orders of four axes give the same grid", () => {
  const expected = AXES.y.flatMap((y) => AXES.x.map((x) => value(y, x) ?? NaN));
  for (const names of permutations(["t", "y", "x", "number"])) {
    const coverage = withParameter(read(document(names)), "a");
    assert.deepEqual(Array.from(valuesAlong(coverage, "a", ["y", "x"])), expected, names.join());
  }
});

test("axes may be missing from a range, or given by start, stop and num", () => {
  const given = document(["y", "x"]);
  given.domain.axes.x = { start: 0, stop: 15, num: 4 };
  const [coverage] = read(given);
  assert.deepEqual(coverage.axes.get("x"), [0, 5, 10, 15]);
  assert.equal(valuesAlong(coverage, "a", ["x", "y"])[3], 5 + 10 * 100);
});

test("a collection shares its parameters", () => {
  const first = document(["y", "x"]);
  const second = { ...document(["y", "x"]), ranges: { b: first.ranges.a } };
  const parameters = { a: { label: 1 }, b: { label: 2 } };
  const coverages = read({ type: "CoverageCollection", parameters, coverages: [first, second] });
  assert.equal(withParameter(coverages, "b").parameters.b.label, 2);
  assert.throws(() => withParameter(coverages, "c"), /no values of c/);
});

test("what cannot be read is refused with a sentence", () => {
  const wrong = [
    { type: "Feature" },
    { type: "Coverage" },
    document(["y", "x"], { shape: [3, 5] }),
    document(["y", "x"], { shape: [4, 3] }),
    document(["y", "x"], { axisNames: ["y"] }),
    document(["y", "x"], { type: "TiledNdArray", values: undefined }),
    { ...document(["y", "x"]), domain: { axes: { composite: { dataType: "tuple", values: [[1, 2]] } } } },
    { ...document(["y", "x"]), domain: { axes: { x: {} } } },
  ];
  for (const bad of wrong) assert.throws(() => read(bad), CoverageError);
  const [coverage] = read(document(["y", "x"]));
  assert.throws(() => valuesAlong(coverage, "a", ["x"]), /3 values of y/);
});

test("an axis of tuples is read coordinate by coordinate", () => {
  const tuples = [["2020-01-01T00:00:00Z", 5, 50], ["2020-01-01T06:00:00Z", 6, 51]];
  const composite = { dataType: "tuple", coordinates: ["t", "x", "y"], values: tuples };
  const range = { type: "NdArray", dataType: "float", axisNames: ["composite"], shape: [2], values: [1, null] };
  const [coverage] = read({ type: "Coverage", domain: { axes: { composite } }, ranges: { a: range } });
  assert.deepEqual(coverage.composite.get("y"), [50, 51]);
  assert.deepEqual(Array.from(valuesAlong(coverage, "a", ["composite"])), [1, NaN]);
});

test("an axis that is not shown is taken at the index that is chosen", () => {
  const given = document(["t", "y", "x"]);
  given.domain.axes.t = { values: ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"] };
  const block = given.ranges.a;
  block.shape[0] = 2;
  block.values = [...block.values, ...block.values.map((v) => (v === null ? null : v + 1))];
  const [coverage] = read(given);
  const [first, second] = [0, 1].map((t) => Array.from(valuesAlong(coverage, "a", ["y", "x"], { t })));
  assert.deepEqual(second, first.map((v) => v + 1));
  assert.throws(() => valuesAlong(coverage, "a", ["y", "x"]), /2 values of t/);
});

test("degrees are known by the reference system, of the coverage or of the collection", () => {
  const connection = (type) => [{ coordinates: ["x", "y"], system: { type } }];
  const projected = document(["y", "x"]);
  projected.domain.referencing = connection("ProjectedCRS");
  const plain = document(["y", "x"]);
  const coverages = read({ type: "CoverageCollection", referencing: connection("GeographicCRS"), coverages: [projected, plain] });
  assert.deepEqual(coverages.map(isGeographic), [false, true]);
});
