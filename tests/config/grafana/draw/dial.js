// The arcs of a dial, on which Grafana's `Gauge` relies: it works out what is shown (range, colours, widths,
// sizes of letters) and asks `$.plot` to draw that. The script that does so comes with Grafana's server only.

import $ from 'jquery';

const SVG = 'http://www.w3.org/2000/svg';

// Where the script has its dials begin and end, in half turns from the right.
const [START, END] = [0.9, 2.1];

// Between the dial and its marks, in pixels.
const GAP = 1;

function add(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  return parent.appendChild(element);
}

// One arc between two parts (0 to 1) of the dial; `radius` is that of its middle.
function arc(svg, { x, y, radius, width }, from, to, color) {
  if (to <= from) return;
  const angle = (part) => Math.PI * (START + (END - START) * part);
  const point = (part) => `${x + radius * Math.cos(angle(part))} ${y + radius * Math.sin(angle(part))}`;
  const long = angle(to) - angle(from) > Math.PI ? 1 : 0;
  const d = `M ${point(from)} A ${radius} ${radius} 0 ${long} 1 ${point(to)}`;
  add(svg, 'path', { d, fill: 'none', stroke: color, 'stroke-width': width });
}

$.plot = (element, [{ data }], { series }) => {
  const { gauge, threshold, value } = series.gauges;
  const [width, height] = [element.clientWidth, element.clientHeight];
  element.replaceChildren();
  const svg = add(element, 'svg', { width, height });

  const marks = threshold.show ? threshold.width : 0;
  // From the centre down to the ends of the arc.
  const below = Math.sin(Math.PI * START);
  const outer = Math.min(width / 2, height / (1 + below));
  const [x, y] = [width / 2, (height + outer * (1 - below)) / 2];
  const part = (number) => Math.min(Math.max((number - gauge.min) / (gauge.max - gauge.min), 0), 1);

  const inner = outer - marks - GAP;
  const dial = { x, y, radius: inner - gauge.width / 2, width: gauge.width };
  arc(svg, dial, 0, 1, gauge.background.color);
  arc(svg, dial, 0, part(data[0][1]), value.color);
  if (threshold.show) {
    let from = 0;
    for (const { value, color } of threshold.values) {
      arc(svg, { x, y, radius: outer - marks / 2, width: marks }, from, part(value), color);
      from = part(value);
    }
  }
  const text = { x, y, 'text-anchor': 'middle', 'dominant-baseline': 'middle', fill: value.color };
  const font = { 'font-size': value.font.size, 'font-family': value.font.family };
  add(svg, 'text', { ...text, ...font }).textContent = value.formatter();
};
