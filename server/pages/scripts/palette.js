/** How do numbers become colours, and texts that people read? */

/** Anchor colours from low to high; between them colours are mixed linearly. Both keep their order in grey. */
const SEQUENTIAL = ["#30123b", "#3b4cc0", "#2b83d6", "#1fb5b8", "#43c978", "#a6d84f", "#f2cf3b", "#f99b3a", "#d94a24", "#8a1208"];
const DIVERGING = ["#08306b", "#2166ac", "#5ba3cf", "#bcd9ea", "#f4f4f2", "#f7cdb2", "#e58267", "#b8233a", "#67001f"];

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 colours as [r, g, b]. */
export function colours(diverging) {
  const anchors = (diverging ? DIVERGING : SEQUENTIAL).map(channels);
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (anchors.length - 1);
    const low = Math.min(Math.floor(place), anchors.length - 2);
    return anchors[low].map((c, k) => Math.round(c + (anchors[low + 1][k] - c) * (place - low)));
  });
}

/**
 * The range of colours for some values: from the 1st to the 99th percentile, so that one extreme cell does not grey out
 * the rest; symmetric about zero where the values reach well to both sides. Null where every value is missing.
 */
export function scaleOf(values) {
  const present = Float64Array.from(values.filter((v) => !Number.isNaN(v))).sort();
  if (present.length === 0) return null;
  const at = (share) => present[Math.round(share * (present.length - 1))];
  let [low, high] = [at(0.01), at(0.99)];
  const diverging = low < 0 && high > 0 && -low / high > 0.25 && -low / high < 4;
  if (diverging) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  if (low === high) [low, high] = [at(0), at(1)];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  return { low, high, diverging, below: present[0] < low, above: present.at(-1) > high };
}

/** Index of the colour (0..255) of a value. */
export function colourIndex(value, scale) {
  const share = (value - scale.low) / (scale.high - scale.low);
  return Math.max(0, Math.min(255, Math.round(share * 255)));
}

/** A number to at most seven significant digits, which is what a 32-bit float holds. */
export function number(value) {
  return Number.isNaN(value) ? "missing" : String(Number(value.toPrecision(7)));
}

/** A number short enough for a legend over a range of width `span`. */
export function shortNumber(value, span) {
  if (value !== 0 && (Math.abs(value) >= 1e6 || span < 1e-4)) return value.toExponential(1);
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(span || 1))));
  return String(Number(value.toFixed(digits)));
}

/** A place as people write it: 32.5°W, 2.5°N. Longitudes of any turn of the circle. `plain` coordinates are no degrees. */
export function place(longitude, latitude, plain = false) {
  if (plain) return `${number(longitude)}, ${number(latitude)}`;
  const x = longitude > 180 ? longitude - 360 : longitude;
  const side = (value, positive, negative) => {
    const degrees = Number(value.toFixed(4));
    return `${Math.abs(degrees)}°${degrees > 0 ? positive : degrees < 0 ? negative : ""}`;
  };
  return `${side(x, "E", "W")}, ${side(latitude, "N", "S")}`;
}
