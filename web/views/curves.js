// Curves and the controls over them: used by a job's page and by the comparison.  How curves are shown is in the address.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { lineChart } from '../charts.js';
import { setQuery } from '../lib/route.js';
import { positions } from '../lib/smooth.js';
import { Check, Choice } from './parts.js';

export const MAX_POINTS = 1024; // of one series in one answer: about the pixels of a chart
export const LIVE_MOST = 4096; // points that a live curve collects before it is fetched again, reduced

const AXES = [
  ['step', 'Step'],
  ['relative', 'Relative'],
  ['wall', 'Wall time'],
];

/* How curves are shown, from the address. */
export function viewOf(query) {
  const axis = AXES.some(([name]) => name === query.get('x')) ? query.get('x') : 'step';
  const smoothing = Math.min(0.999, Math.max(0, Number(query.get('smooth')) || 0));
  return { axis, smoothing, logX: query.get('logx') === '1', logY: query.get('logy') === '1' };
}

export function Controls({ view }) {
  const [smoothing, setSmoothing] = useState(view.smoothing);
  useEffect(() => setSmoothing(view.smoothing), [view.smoothing]);
  const slide = (e) => {
    setSmoothing(Number(e.target.value));
    setQuery({ smooth: Number(e.target.value) || '' });
  };
  return html`
    <div class="controls">
      <label class="slider">
        Smoothing
        <input type="range" min="0" max="0.99" step="0.01" value=${smoothing} onInput=${slide} />
        <output>${smoothing.toFixed(2)}</output>
      </label>
      <${Choice} label="Horizontal axis" value=${view.axis} options=${AXES} onChange=${(x) => setQuery({ x: x === 'step' ? '' : x })} />
      <${Check} label="log x" checked=${view.logX} onChange=${(on) => setQuery({ logx: on ? 1 : '' })} />
      <${Check} label="log y" checked=${view.logY} onChange=${(on) => setQuery({ logy: on ? 1 : '' })} />
    </div>
  `;
}

/* One chart.  VERSION changes when the curves' columns, which grow in place, have.  DETAIL(from, to) answers with curves in full
 * resolution between two steps, for a part that the reader has drawn a frame around.  LOOKINTO(step), where there is one: the address
 * at which a step that the reader presses can be looked into. */
export function Chart({ title, curves, view, version, detail, lookInto }) {
  const el = useRef(null);
  const chart = useRef(null);
  const latest = useRef();
  const [finer, setFiner] = useState(null);
  const [pressed, setPressed] = useState(null); // a step
  latest.current = { curves, view, detail };

  useEffect(() => {
    let turn = 0;
    const zoom = async (range) => {
      const mine = ++turn;
      setFiner(null);
      const { curves: now, view: how, detail: load } = latest.current;
      if (!range || !load || now.every((c) => c.columns.raw)) return;
      const steps = stepsWithin(now, how.axis, range);
      if (!steps) return;
      const answer = await load(...steps).catch(() => null); // the coarser curve stays
      if (answer && mine === turn) setFiner(answer);
    };
    const press = (x) => setPressed(nearestStep(latest.current.curves, latest.current.view.axis, x));
    chart.current = lineChart(el.current, title, { zoom, press });
    return () => chart.current.destroy();
  }, [title]);
  useEffect(() => chart.current.set(finer || curves, view), [title, version, finer, curves.length, view.axis, view.smoothing, view.logX, view.logY]);

  return html`
    <section class="chart">
      <div ref=${el}></div>
      ${lookInto && pressed > 0 && html`<p class="chart-note"><a href=${lookInto(pressed)}>Look into step ${pressed.toLocaleString('en-US')}</a></p>`}
    </section>
  `;
}

/* The step of the point nearest to X of an axis. */
function nearestStep(curves, axis, at) {
  let best = null;
  let distance = Infinity;
  for (const { columns, origin } of curves) {
    positions(columns, axis, origin).forEach((x, i) => {
      if (Math.abs(x - at) >= distance) return;
      distance = Math.abs(x - at);
      best = columns.step[i];
    });
  }
  return best;
}

/* The steps that lie within RANGE of an axis, with one more at either end. */
function stepsWithin(curves, axis, [from, to]) {
  let low = Infinity;
  let high = -Infinity;
  for (const { columns, origin } of curves) {
    const x = positions(columns, axis, origin);
    x.forEach((v, i) => {
      if (v < from || v > to) return;
      low = Math.min(low, columns.step[Math.max(0, i - 1)]);
      high = Math.max(high, columns.step[Math.min(x.length - 1, i + 1)]);
    });
  }
  return low <= high ? [low, high] : null;
}
