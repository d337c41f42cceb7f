// How the weights and gradients of every layer spread over the steps, as heat maps.

import { html } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import { drawHeat } from '../charts.js';
import * as format from '../lib/format.js';
import { byParameter, heat } from '../lib/heat.js';
import { ErrorBox, useLoaded } from './parts.js';

const STEPS_MOST = 200; // columns of one picture
const FIRST = 8; // parameters that are loaded at once; each has two pictures

export function Histograms({ job, news }) {
  const { data, error, again } = useLoaded(() => jobs.histograms(job.id), `${job.id} ${news}`);
  const [most, setMost] = useState(FIRST);
  if (error) return html`<${ErrorBox} error=${error} retry=${again} />`;
  if (!data) return null;
  const groups = byParameter((data.items || []).map((i) => i.name));
  if (groups.length === 0) return html`<${None} job=${job} />`;
  return html`
    <p class="muted">From left to right the steps, from bottom to top the values; the stronger the colour, the more of them are there.</p>
    ${groups.slice(0, most).map(
      ({ parameter, names }) => html`
        <section key=${parameter}>
          <h2>${parameter}</h2>
          <div class="charts">${names.map((name) => html`<${Picture} key=${name} job=${job} name=${name} news=${news} />`)}</div>
        </section>
      `,
    )}
    ${groups.length > most && html`<p class="more"><button onClick=${() => setMost(most + FIRST)}>Show more of ${groups.length} parameters</button></p>`}
  `;
}

function None({ job }) {
  const every = job.spec?.log?.histograms_every;
  return html`
    <section class="empty small">
      <p>${every > 0 ? `Histograms come every ${every} steps.` : 'This job records no histograms. Ask for them in a job’s document:'}</p>
      ${!(every > 0) && html`<pre>"log": { "histograms_every": 100 }</pre>`}
    </section>
  `;
}

function Picture({ job, name, news }) {
  const { data, error } = useLoaded(() => jobs.histogram(job.id, name, STEPS_MOST), `${job.id} ${name} ${news}`);
  const canvas = useRef(null);
  const [at, setAt] = useState('');
  const map = useMemo(() => data && heat(data), [data]);
  const kind = name.slice(0, name.indexOf('/'));
  useEffect(() => (map && canvas.current ? drawHeat(canvas.current, map, kind === 'gradients' ? 1 : 0) : undefined), [map]);

  const point = (e) => {
    const box = canvas.current.getBoundingClientRect();
    const [nx, ny] = [map.rows.length, map.rows[0].length];
    const x = Math.max(0, Math.min(nx - 1, Math.floor(((e.clientX - box.left) / box.width) * nx)));
    const y = Math.max(0, Math.min(ny - 1, ny - 1 - Math.floor(((e.clientY - box.top) / box.height) * ny)));
    const value = map.low + ((y + 0.5) / ny) * (map.high - map.low);
    setAt(`step ${format.count(map.steps[x])}, about ${format.value(value)}: ${format.percent(map.rows[x][y], 1)}`);
  };
  return html`
    <div class="chart">
      <div class="chart-head"><h3>${kind}</h3><span class="chart-at">${at}</span></div>
      <${ErrorBox} error=${error} />
      <div class="heat">
        <span class="heat-high">${map ? format.value(map.high) : ''}</span>
        <span class="heat-low">${map ? format.value(map.low) : ''}</span>
        <canvas ref=${canvas} role="img" aria-label=${`${name} over the steps`} onPointerMove=${map && point} onPointerLeave=${() => setAt('')}></canvas>
        <span class="heat-first">${map ? `step ${format.count(map.steps[0])}` : ''}</span>
        <span class="heat-last">${map ? format.count(map.steps[map.steps.length - 1]) : ''}</span>
      </div>
      ${data && !map && html`<p class="muted">No finite value.</p>`}
    </div>
  `;
}
