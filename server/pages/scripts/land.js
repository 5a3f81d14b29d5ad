/** Where is land? Rings and coastlines of Natural Earth, fit to be drawn on a flat map from -180 to 180 degrees. */
import { feature } from "topojson-client";

/** All rings of the land: lists of [longitude, latitude]. */
function rings(topology) {
  const land = feature(topology, topology.objects.land);
  return (land.features ?? [land]).flatMap(({ geometry }) =>
    (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).flat(),
  );
}

/**
 * Rings to be filled. A ring over the antimeridian jumps from 180 to -180 degrees, which would be filled as a streak
 * across the map: it is unrolled, and what lies beyond 180 degrees is drawn on the other side. Antarctica, which goes round the pole, stays as it is.
 */
export function landRings(topology) {
  return rings(topology).flatMap((ring) => {
    let turn = 0;
    const unrolled = ring.map(([x, y], i) => {
      const step = i === 0 ? 0 : x - ring[i - 1][0];
      if (step > 180) turn -= 360;
      if (step < -180) turn += 360;
      return [x + turn, y];
    });
    if (turn !== 0) return [ring];
    const beyond = unrolled.some(([x]) => x > 180) ? -360 : unrolled.some(([x]) => x < -180) ? 360 : 0;
    const cut = ([x, y]) => [Math.max(-180, Math.min(180, x)), y];
    return beyond ? [unrolled.map(cut), unrolled.map(([x, y]) => cut([x + beyond, y]))] : [ring];
  });
}

/** Coastlines, without the edges along the antimeridian and the South Pole that are no coast. */
export function coastlines(topology) {
  const onEdge = ([x, y]) => Math.abs(x) > 179.99 || y < -89.99;
  return rings(topology).flatMap((ring) => {
    const parts = [[]];
    ring.forEach((point, i) => {
      const last = ring[i - 1];
      if (last && ((onEdge(point) && onEdge(last)) || Math.abs(point[0] - last[0]) > 180)) parts.push([]);
      parts.at(-1).push(point);
    });
    return parts.filter((part) => part.length > 1);
  });
}
