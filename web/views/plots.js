// Small plots in SVG: histograms, figures with two axes, and parallel coordinates.  Curves over steps are charts.js's.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { colourOf } from '../charts.js';
import * as format from '../lib/format.js';
import { headOf } from '../lib/leaderboard.js';
import { go } from '../lib/route.js';
import { nearest, niceTicks, rangeOf } from '../lib/scales.js';
import { axesOf, axisLabels, isWithin, nudged } from '../lib/sweeps.js';
import { linearLabels } from '../lib/ticks.js';

/* The element's size in CSS pixels, for drawing that keeps its letters when it is stretched. */
function useSize(ref) {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setSize({ width: entry.contentRect.width, height: entry.contentRect.height }));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return size;
}

// ---- A histogram ------------------------------------------------------------------------------------------------------

/* COUNTS between EDGES as bars, without axes; what each is, is its title. */
export function Bars({ counts, edges, label }) {
  const most = Math.max(1, ...counts);
  const text = (i) => `${format.value(edges[i])} to ${format.value(edges[i + 1])}: ${format.count(counts[i])}`;
  return html`
    <svg class="bars" viewBox=${`0 0 ${counts.length} 1`} preserveAspectRatio="none" role="img" aria-label=${label}>
      ${counts.map((n, i) => html`<rect x=${i + 0.06} y=${1 - n / most} width="0.88" height=${n / most}><title>${text(i)}</title></rect>`)}
    </svg>
  `;
}

// ---- Two axes ---------------------------------------------------------------------------------------------------------

const LEFT = 48; // room for the labels of the axes, CSS pixels
const BOTTOM = 40;
const TOP = 22;
const RIGHT = 14;
const NEAR = 24; // the cursor picks a point within so many pixels

/* CURVES [{label, colour, x, y, isStepped}] and POINTS {x, y, href(i), colour} over two linear axes.  DIAGONAL: the line y = x
 * ("dashed" behind all else). */
export function Plot({ title, note, curves = [], points, xRange, yRange, xLabel, yLabel, diagonal }) {
  const box = useRef(null);
  const { width, height } = useSize(box);
  const [at, setAt] = useState(null);
  const [x0, x1] = xRange || rangeOf([...curves.flatMap((c) => c.x), ...(points?.x || [])]);
  const [y0, y1] = yRange || rangeOf([...curves.flatMap((c) => c.y), ...(points?.y || [])]);
  const px = (v) => LEFT + ((v - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
  const py = (v) => height - BOTTOM - ((v - y0) / (y1 - y0)) * (height - BOTTOM - TOP);
  const ends = [Math.max(x0, y0), Math.min(x1, y1)];

  const move = (e) => {
    const frame = box.current.getBoundingClientRect();
    const [x, y] = [e.clientX - frame.left, e.clientY - frame.top];
    let found = null;
    for (const set of [...curves, ...(points ? [points] : [])]) {
      const i = nearest(set.x.map(px), set.y.map(py), x, y, 1, 1);
      const d = i < 0 ? Infinity : Math.hypot(px(set.x[i]) - x, py(set.y[i]) - y);
      if (d < (found?.d ?? NEAR)) found = { d, set, i };
    }
    setAt(found);
  };
  const text = at && `${at.set.label ? `${at.set.label}: ` : ''}${format.value(at.set.x[at.i])}, ${format.value(at.set.y[at.i])}`;
  return html`
    <section class="chart">
      <div class="chart-head"><h3>${title}</h3><span class="chart-at">${text}</span></div>
      <div class="chart-plot" ref=${box} onPointerMove=${move} onPointerLeave=${() => setAt(null)}>
        ${width > 0 &&
        html`<svg class="plot" width=${width} height=${height} role="img" aria-label=${`${title}: ${yLabel} over ${xLabel}`}>
          <${Axis} range=${[x0, x1]} place=${px} from=${TOP} to=${height - BOTTOM} label=${xLabel} isX length=${width} />
          <${Axis} range=${[y0, y1]} place=${py} from=${LEFT} to=${width - RIGHT} label=${yLabel} length=${height} />
          ${diagonal && ends[1] > ends[0] && html`<path class="diagonal" d=${`M${px(ends[0])} ${py(ends[0])}L${px(ends[1])} ${py(ends[1])}`} />`}
          ${points && points.x.map((x, i) => html`<${Dot} x=${px(x)} y=${py(points.y[i])} colour=${points.colour} href=${points.href?.(i)} />`)}
          ${curves.map((c) => html`<path class="curve" d=${pathOf(c, px, py)} style=${{ stroke: colourOf(c.colour) }} />`)}
          ${at && html`<circle class="picked" cx=${px(at.set.x[at.i])} cy=${py(at.set.y[at.i])} r="5" />`}
        </svg>`}
      </div>
      ${note && html`<p class="muted plot-note">${note}</p>`}
      ${curves.length > 0 && html`<ul class="chart-legend">${curves.map((c) => html`<li><i style=${{ background: colourOf(c.colour) }}></i><span>${c.label}</span> <b>${c.figure}</b></li>`)}</ul>`}
    </section>
  `;
}

function Axis({ range, place, from, to, label, isX, length }) {
  const ticks = niceTicks(...range, Math.max(2, Math.floor(length / (isX ? 90 : 50))));
  const names = linearLabels(ticks);
  const line = (p) => (isX ? `M${p} ${from}V${to}` : `M${from} ${p}H${to}`);
  return html`
    <g class="axis">
      ${ticks.map((t) => html`<path d=${line(place(t))} />`)}
      ${ticks.map((t, i) => (isX ? html`<text x=${place(t)} y=${to + 16} text-anchor="middle">${names[i]}</text>` : html`<text x=${from - 6} y=${place(t) + 4} text-anchor="end">${names[i]}</text>`))}
      ${isX ? html`<text class="name" x=${(place(range[0]) + place(range[1])) / 2} y=${to + 34} text-anchor="middle">${label}</text>` : html`<text class="name" x=${from - 6} y="10">${label}</text>`}
    </g>
  `;
}

function Dot({ x, y, colour = 0, href }) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  const dot = html`<circle cx=${x} cy=${y} r="3.5" style=${{ fill: colourOf(colour) }} />`;
  return href ? html`<a href=${href} aria-label=${href}>${dot}</a>` : dot;
}

function pathOf({ x, y, isStepped }, px, py) {
  let d = '';
  let pen = 'M';
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(x[i]) || !Number.isFinite(y[i])) {
      pen = 'M';
      continue;
    }
    const before = isStepped && pen === 'L' ? `H${px(x[i]).toFixed(1)}` : '';
    d += `${before}${pen}${px(x[i]).toFixed(1)} ${py(y[i]).toFixed(1)}`;
    pen = 'L';
  }
  return d;
}

// ---- Parallel coordinates ---------------------------------------------------------------------------------------------

const AXIS_LEAST = 150; // CSS pixels from one axis to the next; narrower screens scroll the picture
const P_TOP = 34;
const P_BOTTOM = 22;
const P_SIDE = 70;
const BRUSH_LEAST = 0.02; // of an axis: a shorter drag takes the brush away

/* A line for every child of SWEEP through its parameters to its value, coloured by that.  A drag along an axis keeps only the
 * lines through that part; arrow keys do the same for the axis that has the focus.  BRUSHES {axis: [low, high]}. */
export function Parallel({ sweep, brushes, setBrushes, hovered, setHovered }) {
  const box = useRef(null);
  const drag = useRef(null);
  const size = useSize(box);
  const axes = axesOf(sweep);
  const width = Math.max(size.width, 2 * P_SIDE + (axes.length - 1) * AXIS_LEAST);
  const height = size.height;
  const x = (k) => (axes.length > 1 ? P_SIDE + (k / (axes.length - 1)) * (width - 2 * P_SIDE) : width / 2);
  const y = (place) => height - P_BOTTOM - place * (height - P_TOP - P_BOTTOM);
  const placeAt = (e) => Math.max(0, Math.min(1, (height - P_BOTTOM - (e.clientY - box.current.getBoundingClientRect().top)) / (height - P_TOP - P_BOTTOM)));
  const lines = sweep.jobs.map((job) => ({ job, places: axes.map((a, k) => a.place(k === axes.length - 1 ? job.value : job.params?.[a.name])) }));

  const press = (k) => (e) => {
    e.preventDefault(); // a drag neither selects text nor takes the focus
    e.currentTarget.setPointerCapture(e.pointerId);
    drag.current = { k, from: placeAt(e) };
  };
  const move = (e) => {
    if (!drag.current) return;
    const { k, from } = drag.current;
    const to = placeAt(e);
    setBrushes({ ...brushes, [k]: Math.abs(to - from) < BRUSH_LEAST ? null : [Math.min(from, to), Math.max(from, to)] });
  };
  const key = (k) => (e) => {
    const range = nudged(brushes[k], e.key, e.shiftKey);
    if (range === undefined) return;
    e.preventDefault();
    setBrushes({ ...brushes, [k]: range });
  };
  return html`
    <div class="parallel" ref=${box} tabindex="-1">
      ${height > 0 &&
      html`<svg width=${width} height=${height} role="group" aria-label="Parallel coordinates: one line for each job">
        ${lines.map(({ job, places }) => html`<${Line} key=${job.id} job=${job} places=${places} x=${x} y=${y} isIn=${isWithin(places, brushes)} isHovered=${hovered === job.id} setHovered=${setHovered} />`)}
        ${axes.map(
          (a, k) => html`
            <g class="p-axis" transform=${`translate(${x(k)} 0)`} tabindex="0" role="group" aria-label=${`${a.name}: arrow keys choose a part of this axis, Escape all of it`} onKeyDown=${key(k)}>
              <path d=${`M0 ${y(1)}V${y(0)}`} />
              <text class="name" x=${k === axes.length - 1 ? P_SIDE - 8 : 0} y="16" text-anchor=${k === axes.length - 1 ? 'end' : 'middle'}>${headOf(a.name)}</text>
              ${axisLabels(a, format.value).map((l) => html`<${AxisLabel} text=${l.text} y=${y(l.at)} />`)}
              ${brushes[k] && html`<rect class="brush" x="-7" width="14" y=${y(brushes[k][1])} height=${Math.max(2, y(brushes[k][0]) - y(brushes[k][1]))} />`}
              <rect class="grip" x="-16" width="32" y=${P_TOP - 8} height=${Math.max(0, height - P_TOP - P_BOTTOM + 16)} onPointerDown=${press(k)} onPointerMove=${move} onPointerUp=${() => (drag.current = null)} />
            </g>
          `,
        )}
      </svg>`}
    </div>
  `;
}

const LABEL_HEIGHT = 16;
const LABEL_LETTER = 7; // CSS pixels of one, at most

/* On a ground of its own, since the lines run behind it. */
function AxisLabel({ text, y }) {
  const width = String(text).length * LABEL_LETTER + 6;
  return html`
    <rect class="tick-ground" x="4" width=${width} y=${y - LABEL_HEIGHT / 2} height=${LABEL_HEIGHT} rx="3" />
    <text class="tick" x="7" y=${y + 4}>${text}</text>
  `;
}

function Line({ job, places, x, y, isIn, isHovered, setHovered }) {
  let d = '';
  places.forEach((p, k) => {
    if (Number.isFinite(p)) d += `${d ? 'L' : 'M'}${x(k).toFixed(1)} ${y(p).toFixed(1)}`;
  });
  const value = places[places.length - 1];
  const paint = Number.isFinite(value) ? `color-mix(in oklab, var(--c1) ${Math.round(value * 100)}%, var(--c0))` : 'var(--edge)';
  const name = `p-line ${isIn ? '' : 'out'} ${isHovered ? 'hovered' : ''}`;
  return html`<path class=${name} d=${d} style=${{ stroke: paint }} onPointerEnter=${() => setHovered(job.id)} onPointerLeave=${() => setHovered(null)} onClick=${() => go(`/jobs/${job.id}`)}><title>${`Job ${job.index}: ${format.value(job.value)}`}</title></path>`;
}
