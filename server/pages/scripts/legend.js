/** Which colour is which value? The bar of colours below a map. */
import { colours, shortNumber } from "./palette.js";

/** Draw the legend of a scale (of `scaleOf`) under its title, or hide it where there is none. */
export function legend(scale, title) {
  const byId = (id) => document.getElementById(id);
  byId("legend").hidden = !scale;
  if (!scale) return;
  const canvas = byId("legend-colours");
  const context = canvas.getContext("2d");
  colours(scale.diverging).forEach(([r, g, b], i) => {
    context.fillStyle = `rgb(${r} ${g} ${b})`;
    context.fillRect(i, 0, 1, canvas.height);
  });
  const span = scale.high - scale.low;
  const labels = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const label = document.createElement("span");
    const sign = share === 0 && scale.below ? "≤ " : share === 1 && scale.above ? "≥ " : "";
    label.textContent = sign + shortNumber(scale.low + share * span, span);
    return label;
  });
  byId("legend-labels").replaceChildren(...labels);
  byId("legend-title").textContent = title;
}
