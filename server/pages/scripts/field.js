/**
 * How is a grid of values painted over the map?
 *
 * A canvas of the size of the map: for each column and row of pixels the cell is looked up once, so cells of any width,
 * in any order, with longitudes of any convention, are painted where they lie.
 */
import L from "leaflet";
import { colourIndex, colours } from "./palette.js";

/** Cells by rising coordinate: edges half-way between the centres, and the index in the answer of each cell. */
export function cellsOf(values) {
  const order = Array.from(values, (value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const centres = order.map((cell) => cell.value);
  const n = centres.length;
  const edges = new Float64Array(n + 1);
  for (let i = 1; i < n; i += 1) edges[i] = (centres[i - 1] + centres[i]) / 2;
  edges[0] = n > 1 ? centres[0] - (edges[1] - centres[0]) : centres[0] - 0.5;
  edges[n] = n > 1 ? centres[n - 1] + (centres[n - 1] - edges[n - 1]) : centres[0] + 0.5;
  return { edges, indices: order.map((cell) => cell.index) };
}

/** Index of the cell that holds a coordinate, or -1. */
export function cellAt(cells, coordinate) {
  const { edges, indices } = cells;
  if (!(coordinate >= edges[0] && coordinate <= edges.at(-1))) return -1;
  let [low, high] = [0, indices.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= coordinate) low = middle;
    else high = middle - 1;
  }
  return indices[low];
}

/** Like `cellAt` for a longitude, which may be written in another turn of the circle than the cells. */
export function cellAtLongitude(cells, longitude) {
  for (const turn of [0, 360, -360]) {
    const index = cellAt(cells, longitude + turn);
    if (index >= 0) return index;
  }
  return -1;
}

export const FieldLayer = L.Layer.extend({
  initialize(options) {
    L.setOptions(this, options);
  },

  /** `grid`: {x, y, values} with values[y * x.length + x], NaN where missing. */
  setGrid(grid, scale) {
    this.grid = grid;
    const lut = new Uint32Array(colours(scale.diverging).map(([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r));
    this.painted = Uint32Array.from(grid.values, (v) => (Number.isNaN(v) ? 0 : lut[colourIndex(v, scale)]));
    this.columns = cellsOf(grid.x);
    this.rows = cellsOf(grid.y);
    if (this._map) this.paint();
  },

  clear() {
    this.grid = null;
    if (this._map) this.paint();
  },

  /** Value of the cell under a place, or null outside the grid. */
  valueAt(longitude, latitude) {
    if (!this.grid) return null;
    const column = cellAtLongitude(this.columns, longitude);
    const row = cellAt(this.rows, latitude);
    return column < 0 || row < 0 ? null : this.grid.values[row * this.grid.x.length + column];
  },

  onAdd(map) {
    this.canvas = L.DomUtil.create("canvas", "field leaflet-zoom-hide");
    this.getPane().appendChild(this.canvas);
    map.on("moveend zoomend resize viewreset", this.paint, this);
    this.paint();
  },

  onRemove(map) {
    map.off("moveend zoomend resize viewreset", this.paint, this);
    this.canvas.remove();
  },

  paint() {
    const map = this._map;
    const { x: width, y: height } = map.getSize();
    this.canvas.width = width;
    this.canvas.height = height;
    L.DomUtil.setPosition(this.canvas, map.containerPointToLayerPoint([0, 0]));
    if (!this.grid || !width || !height) return;
    const columns = Int32Array.from({ length: width }, (_, px) => {
      const { lng } = map.containerPointToLatLng([px + 0.5, 0]);
      return Math.abs(lng) <= 180 ? cellAtLongitude(this.columns, lng) : -1;
    });
    const rows = Int32Array.from({ length: height }, (_, py) =>
      cellAt(this.rows, map.containerPointToLatLng([0, py + 0.5]).lat),
    );
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const across = this.grid.x.length;
    for (let py = 0; py < height; py += 1) {
      if (rows[py] < 0) continue;
      for (let px = 0; px < width; px += 1) {
        if (columns[px] >= 0) pixels[py * width + px] = this.painted[rows[py] * across + columns[px]];
      }
    }
    context.putImageData(image, 0, 0);
  },
});
