// Drawing: curves with uPlot (its only user), and pictures on a canvas.  Knows nothing of jobs or of the server.

import uPlot from 'uplot';
import { positions, smooth } from './lib/smooth.js';
import { durationLabels, linearLabels, logLabels } from './lib/ticks.js';
import { duration, moment, value as valueText } from './lib/format.js';

const N_COLOURS = 10; // --c0 .. --c9 in style.css
const PER_CURVE = 4; // columns of one curve: low, high, raw, line
const RAW_ALPHA = 0.33; // of the unsmoothed curve behind the smoothed one
const BAND_ALPHA = 0.17;
const DOT_SPACE = 12; // CSS pixels for each dot on a curve
const PRESS_MOST = 3; // CSS pixels that the pointer moves while it presses
const AXIS_LEAST = 36; // CSS pixels: room for half a label of the other axis
const MARK_SIZE = 5; // of the triangle for a value that is not finite, CSS pixels

/* What a colour of the style sheet is under the present theme, as "rgb(r, g, b)". */
function paint(name) {
  const probe = make('i', '', document.body);
  probe.style.color = `var(${name})`;
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function faint(colour, alpha) {
  return colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
}

export function colourOf(index) {
  return `var(--c${index % N_COLOURS})`;
}

const listeners = new Set();
const dark = window.matchMedia('(prefers-color-scheme: dark)');
const repaint = () => listeners.forEach((listener) => listener());
dark.addEventListener('change', repaint);

/* The reader chose another theme: charts take its colours. */
export function themeChanged() {
  repaint();
}

function make(tag, className, parent) {
  const el = document.createElement(tag);
  el.className = className;
  parent?.append(el);
  return el;
}

/* A chart of CURVES in EL.  Returns {set(curves, view), zoomTo(range), destroy()}.
 *   curve: {label, colour: number of a colour, columns: see lib/smooth.js, origin: when relative time begins}
 *   view:  {axis: "step" | "relative" | "wall", logX, logY, smoothing}
 * ON.zoom(range) is called with [from, to] of the x axis, or null for all, when the reader drags or double-clicks; ON.press(x) with
 * the place on that axis where the reader presses. */
export function lineChart(el, title, on = {}) {
  el.textContent = '';
  const head = make('div', 'chart-head', el);
  make('h3', '', head).textContent = title;
  const at = make('span', 'chart-at', head);
  const plot = make('div', 'chart-plot', el);
  const legend = make('ul', 'chart-legend', el);
  const note = make('p', 'chart-note', el);
  plot.setAttribute('role', 'img');

  let curves = [];
  let view = {};
  let u = null;
  let built = '';
  let zoom = null;
  let values = []; // elements of the legend

  const size = () => ({ width: Math.max(120, plot.clientWidth), height: Math.max(120, plot.clientHeight) });
  const setZoom = (range) => {
    zoom = range;
    update();
    on.zoom?.(range);
  };

  function build() {
    u?.destroy();
    const colours = curves.map((c) => paint(`--c${c.colour % N_COLOURS}`));
    u = new uPlot(options(curves, colours, view, size(), { zoom: () => zoom, setZoom, cursor, marks: () => curves }), [[]], plot);
    legend.textContent = '';
    values = curves.map((c) => {
      const item = make('li', '', legend);
      make('i', '', item).style.background = colourOf(c.colour);
      make('span', '', item).textContent = c.label;
      return make('b', '', item);
    });
  }

  function cursor(index) {
    const x = index === null || index === undefined ? null : u.data[0][index];
    at.textContent = x === null || x === undefined ? '' : positionText(x, view.axis);
    curves.forEach((c, k) => {
      const line = u.data[(k + 1) * PER_CURVE];
      const away = index === null || index === undefined;
      const value = away && c.columns.bad[c.columns.bad.length - 1] ? c.columns.value[c.columns.value.length - 1] : near(line, away ? line.length - 1 : index);
      values[k].textContent = valueText(value);
    });
  }

  function update() {
    const form = JSON.stringify([curves.map((c) => [c.label, c.colour]), view.axis, view.logX, view.logY, view.smoothing > 0]);
    if (!u || form !== built) build();
    built = form;
    u.setData(table(curves, view));
    cursor(u.cursor.idx);
    note.textContent = curves.map((c) => badText(c)).filter(Boolean).join(' ');
    const ends = curves.map((c) => `${c.label} ${valueText(c.columns.value[c.columns.value.length - 1])}`);
    plot.setAttribute('aria-label', `${title}: ${ends.join(', ')}`);
  }

  let down = null; // where the pointer went down: a drag is no press
  plot.addEventListener('pointerdown', (e) => (down = e.clientX));
  plot.addEventListener('click', (e) => {
    if (!u || down === null || Math.abs(e.clientX - down) > PRESS_MOST || !u.over.contains(e.target)) return;
    on.press?.(u.posToVal(e.clientX - u.over.getBoundingClientRect().left, 'x'));
  });

  const observer = new ResizeObserver(() => u && plot.clientWidth && u.setSize(size()));
  observer.observe(plot);
  const repaintThis = () => u && (build(), update());
  listeners.add(repaintThis);

  return {
    set(newCurves, newView) {
      if (newView.axis !== view.axis) zoom = null;
      curves = newCurves;
      view = newView;
      update();
    },
    destroy() {
      listeners.delete(repaintThis);
      observer.disconnect();
      u?.destroy();
      el.textContent = '';
    },
  };
}

/* One table for uPlot: x, then low, high, raw and line of every curve. */
function table(curves, view) {
  const tables = curves.map((c) => {
    const { columns } = c;
    const x = positions(columns, view.axis, c.origin);
    const y = (list) => list.map((v) => (Number.isFinite(v) && !(view.logY && v <= 0) ? v : null));
    const band = columns.raw ? columns.value.map(() => null) : null;
    const line = y(smooth(columns.value, view.smoothing));
    let data = [x, band || y(columns.min), band || y(columns.max), view.smoothing > 0 ? y(columns.value) : x.map(() => null), line];
    if (view.logX) {
      const keep = x.map((v) => v > 0);
      data = data.map((column) => column.filter((_, i) => keep[i]));
    }
    return data;
  });
  return tables.length ? uPlot.join(tables) : [[]];
}

function options(curves, colours, view, size, hooks) {
  const grid = { stroke: paint('--line'), width: 1 };
  const { fontSize, fontFamily } = getComputedStyle(document.body);
  const font = `${Math.round(parseFloat(fontSize) * 0.75)}px ${fontFamily}`;
  const axis = { stroke: paint('--muted'), grid, ticks: { show: false }, font, gap: 6 };
  const xLabels = view.logX ? logLabels : view.axis === 'relative' ? durationLabels : linearLabels;
  const series = [{}];
  const bands = [];
  curves.forEach((c, k) => {
    const first = 1 + k * PER_CURVE;
    const edge = { stroke: 'transparent', width: 0, points: { show: false } };
    bands.push({ series: [first + 1, first], fill: faint(colours[k], BAND_ALPHA) });
    series.push(edge, edge);
    series.push({ stroke: faint(colours[k], RAW_ALPHA), width: 1, points: { show: false } });
    series.push({ label: c.label, stroke: colours[k], width: 1.75, points: { size: 5, fill: colours[k], stroke: colours[k], show: isSparse } });
  });
  return {
    ...size,
    legend: { show: false },
    padding: [10, 14, 0, 0],
    scales: {
      x: { time: view.axis === 'wall' && !view.logX, distr: view.logX ? 3 : 1, range: (_, low, high) => xRange(hooks.zoom(), low, high, view) },
      y: { distr: view.logY ? 3 : 1, range: (_, low, high) => yRange(low, high, view) },
    },
    ms: 1,
    series,
    bands,
    axes: [
      view.axis === 'wall' && !view.logX ? { ...axis, size: 40 } : { ...axis, size: 30, values: (_, splits) => xLabels(splits) },
      { ...axis, size: widthOf, values: (_, splits) => (view.logY ? logLabels(splits) : linearLabels(splits)) },
    ],
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: (_, i) => (i % PER_CURVE === 0 ? 7 : 0) } /* the line has a point under the cursor, its band none */,
      y: false,
      bind: { dblclick: () => () => hooks.setZoom(null) },
    },
    hooks: {
      setCursor: [(u) => hooks.cursor(u.cursor.idx)],
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          const range = [u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          hooks.setZoom(range);
        },
      ],
      draw: [(u) => drawMarks(u, hooks.marks(), colours, view)],
    },
  };
}

/* Whether a curve has so few values that each is worth a dot: a single one is nothing else. */
function isSparse(u, index, first, last_) {
  let n = 0;
  for (let i = first; i <= last_; i++) if (u.data[index][i] !== null && u.data[index][i] !== undefined) n++;
  return n <= u.bbox.width / devicePixelRatio / DOT_SPACE;
}

/* The room that the labels of the vertical axis need. */
function widthOf(u, labels, axis) {
  const longest = (labels || []).reduce((a, b) => (b && b.length > a.length ? b : a), '');
  u.ctx.save();
  u.ctx.font = u.axes[axis].font[0];
  const width = u.ctx.measureText(longest).width / devicePixelRatio;
  u.ctx.restore();
  return Math.max(AXIS_LEAST, Math.ceil(width) + 16);
}

function xRange(zoom, low, high, view) {
  if (zoom) return zoom;
  if (low === null || low === undefined) return view.logX ? [1, 10] : [0, 1];
  if (low === high) return view.logX ? [low / 2, high * 2] : [low - 1, high + 1];
  return [low, high];
}

/* A little room above and below; without a single finite value a range all the same, so the marks of the others have a frame. */
function yRange(low, high, view) {
  if (low === null || low === undefined) return view.logY ? [0.1, 1] : [0, 1];
  return view.logY ? uPlot.rangeLog(low, high, 10, false) : uPlot.rangeNum(low, high, 0.1, true);
}

/* Triangles at the top edge where a value is NaN or infinite. */
function drawMarks(u, curves, colours, view) {
  const { ctx, bbox } = u;
  const half = MARK_SIZE * devicePixelRatio;
  curves.forEach((c, k) => {
    const x = positions(c.columns, view.axis, c.origin);
    ctx.fillStyle = colours[k];
    c.columns.bad.forEach((bad, i) => {
      if (!bad || x[i] < u.scales.x.min || x[i] > u.scales.x.max) return;
      const left = u.valToPos(x[i], 'x', true);
      ctx.beginPath();
      ctx.moveTo(left - half, bbox.top);
      ctx.lineTo(left + half, bbox.top);
      ctx.lineTo(left, bbox.top + 1.6 * half);
      ctx.fill();
    });
  });
}

function badText({ label, columns }) {
  const n = columns.bad.filter(Boolean).length;
  if (n === 0) return '';
  const what = n === 1 ? 'a value is' : `${n} ${columns.raw ? 'values' : 'places'} are`;
  return `▼ ${label}: ${what} not finite (NaN or infinite), first at step ${columns.step[columns.bad.indexOf(true)]}.`;
}

function positionText(x, axis) {
  if (axis === 'wall') return moment(x);
  return axis === 'relative' ? `+${duration(x)}` : `step ${x.toLocaleString('en-US')}`;
}

/* The value at INDEX or the nearest one before it; joined tables have holes. */
function near(list, index) {
  for (let i = index; i >= 0; i--) if (list[i] !== null && list[i] !== undefined) return list[i];
  return undefined;
}

// ---- Pictures ---------------------------------------------------------------------------------------------------------

/* IMAGE {width, height, channels, data: base64 of uint8, channels last} on CANVAS, one canvas pixel per pixel. */
export function drawPicture(canvas, image) {
  const { width, height } = image;
  const channels = image.channels || 1;
  const bytes = Uint8Array.from(atob(image.data), (c) => c.charCodeAt(0));
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels.data[i * 4 + c] = bytes[i * channels + (channels >= 3 ? c : 0)];
    pixels.data[i * 4 + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/* HEAT (lib/heat.js) on CANVAS, one canvas pixel per cell: steps from left to right, values from the bottom up, the more samples
 * the stronger the colour.  Follows the theme; returns the function that ends it. */
export function drawHeat(canvas, heat, colour) {
  const draw = () => {
    const rgb = paint(`--c${colour % N_COLOURS}`).match(/[\d.]+/g).map(Number);
    const [width, height] = [heat.rows.length, heat.rows[0].length];
    const most = Math.max(...heat.rows.map((row) => Math.max(...row))) || 1;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(width, height);
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        const at = ((height - 1 - y) * width + x) * 4;
        for (let c = 0; c < 3; c++) pixels.data[at + c] = rgb[c];
        pixels.data[at + 3] = Math.round(255 * Math.sqrt(heat.rows[x][y] / most)); // the root brings the tails into sight
      }
    }
    context.putImageData(pixels, 0, 0);
  };
  draw();
  listeners.add(draw);
  return () => listeners.delete(draw);
}
