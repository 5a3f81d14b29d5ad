/**
 * Which value stands where in a CoverageJSON document?
 *
 * Everything is decoded by what the document declares (OGC 21-069r2): the order of `axisNames`, `shape`, and the axes
 * of the domain. Nothing is assumed of the order of axes or of the direction in which they run. What this reader does
 * not know (tiled arrays, polygons) is an error with a sentence, never a guess.
 */

export class CoverageError extends Error {}

/** The axis' values as an array: listed, or regular by start, stop and num. */
function readAxis(name, axis) {
  if (Array.isArray(axis.values)) {
    if (axis.dataType && axis.dataType !== "primitive" && axis.dataType !== "tuple") {
      throw new CoverageError(`The axis ${name} has composite values (${axis.dataType}), which cannot be drawn.`);
    }
    return axis.values;
  }
  const { start, stop, num } = axis;
  if (typeof start !== "number" || typeof stop !== "number" || !Number.isInteger(num) || num < 1) {
    throw new CoverageError(`The axis ${name} has no values.`);
  }
  return Array.from({ length: num }, (_, i) => (num === 1 ? start : start + (i * (stop - start)) / (num - 1)));
}

function readRange(name, range, axes) {
  if (range?.type !== "NdArray" || !Array.isArray(range.values)) {
    throw new CoverageError(`The values of ${name} are not inside the document (${range?.type ?? "no range"}).`);
  }
  const axisNames = range.axisNames ?? [];
  const shape = range.shape ?? [];
  if (axisNames.length !== shape.length || shape.reduce((n, size) => n * size, 1) !== range.values.length) {
    throw new CoverageError(`The values of ${name} do not fit their declared shape.`);
  }
  axisNames.forEach((axis, i) => {
    if (axes.get(axis)?.length !== shape[i]) {
      throw new CoverageError(`The values of ${name} do not fit the axis ${axis} of the domain.`);
    }
  });
  // Steps in the flat array by axis name: row-major order of axisNames.
  const strides = new Map();
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i -= 1) {
    strides.set(axisNames[i], stride);
    stride *= shape[i];
  }
  return { values: range.values, strides };
}

/**
 * Read a Coverage or a CoverageCollection.
 *
 * Returns a list of coverages: `{axes: Map(name -> array), composite: Map(coordinate -> array), parameters: object,
 * ranges: Map(name -> {values, strides}), referencing: array, members: object}`. `composite` holds the coordinates of an
 * axis of tuples one by one; `members` is the coverage as it stands in the document.
 */
export function read(document) {
  if (document?.type === "CoverageCollection") {
    return (document.coverages ?? []).map((coverage) => readCoverage(coverage, document));
  }
  if (document?.type === "Coverage") return [readCoverage(document, {})];
  throw new CoverageError("The answer is not CoverageJSON.");
}

function readCoverage(coverage, collection) {
  const declared = coverage.domain?.axes;
  if (!declared) throw new CoverageError("A coverage has no domain.");
  const axes = new Map(Object.entries(declared).map(([name, axis]) => [name, readAxis(name, axis)]));
  const ranges = new Map(
    Object.entries(coverage.ranges ?? {}).map(([name, range]) => [name, readRange(name, range, axes)]),
  );
  const composite = new Map();
  for (const axis of Object.values(declared)) {
    if (axis.dataType !== "tuple") continue;
    (axis.coordinates ?? []).forEach((name, at) => composite.set(name, axis.values.map((tuple) => tuple[at])));
  }
  const referencing = coverage.domain.referencing ?? collection.referencing ?? [];
  const parameters = { ...collection.parameters, ...coverage.parameters };
  return { axes, composite, parameters, ranges, referencing, members: coverage };
}

/** Whether x and y are longitude and latitude. */
export function isGeographic({ referencing }) {
  const system = referencing.find(({ coordinates }) => coordinates?.includes("x"))?.system;
  return !system || system.type === "GeographicCRS";
}

/** The first coverage that has values of a parameter. */
export function withParameter(coverages, name) {
  const found = coverages.find((coverage) => coverage.ranges.has(name));
  if (!found) throw new CoverageError(`The answer has no values of ${name}.`);
  return found;
}

/**
 * Values of a parameter along some axes, the first of `along` slowest; every other axis must have one value, or one that
 * `chosen` names by its index. Missing values are NaN. Returns a Float64Array of the product of the axes' lengths.
 */
export function valuesAlong(coverage, name, along, chosen = {}) {
  const { values, strides } = coverage.ranges.get(name);
  for (const [axis, list] of coverage.axes) {
    if (!along.includes(axis) && !(axis in chosen) && strides.has(axis) && list.length > 1) {
      throw new CoverageError(`The answer has ${list.length} values of ${axis} where one was asked for.`);
    }
  }
  const lengths = along.map((axis) => coverage.axes.get(axis)?.length ?? 1);
  const steps = along.map((axis) => strides.get(axis) ?? 0);
  const out = new Float64Array(lengths.reduce((n, size) => n * size, 1));
  const index = Array(along.length).fill(0);
  const start = Object.entries(chosen).reduce((at, [axis, i]) => at + i * (strides.get(axis) ?? 0), 0);
  for (let i = 0; i < out.length; i += 1) {
    const value = values[index.reduce((at, n, axis) => at + n * steps[axis], start)];
    out[i] = typeof value === "number" ? value : NaN;
    for (let axis = along.length - 1; axis >= 0; axis -= 1) {
      index[axis] += 1;
      if (index[axis] < lengths[axis]) break;
      index[axis] = 0;
    }
  }
  return out;
}
