// One sweep: its settings against what came of them, the best so far, the curves of the best, and every child.

import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { compareMetric, sweeps } from '../api.js';
import * as format from '../lib/format.js';
import { figureText, headOf, isShare } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { columns } from '../lib/smooth.js';
import { axesOf, bestSoFar, childrenOf, isWithin, ranked, spaceText } from '../lib/sweeps.js';
import { Chart, Controls, MAX_POINTS, viewOf } from './curves.js';
import { Check, ConfirmButton, ErrorBox, Live, State, useLive, useLoaded } from './parts.js';
import { Parallel, Plot } from './plots.js';
import { Warnings } from './warnings.js';

const CURVES_MOST = 8; // children whose curves are drawn: the best ones
const POLL_MS = 3000; // values of children come with their metrics, which are no news of the sweep

export function title(params) {
  return `Sweep ${params.sweep.slice(-6)}`;
}

export function mount(el, params) {
  render(html`<${Sweep} key=${params.sweep} id=${params.sweep} query=${params.query} />`, el);
  return () => render(null, el);
}

function Sweep({ id, query }) {
  const members = useRef(new Set());
  const { data, error, status, again } = useLive(() => sweeps.get(id), id, (kind, event) => (['state', 'deleted'].includes(kind) && members.current.has(event.job)) || undefined);
  members.current = new Set((data?.jobs || []).map((j) => j.id));
  const runs = data?.state === 'running';
  useEffect(() => {
    const timer = runs && setInterval(() => document.hidden || again(), POLL_MS);
    return () => clearInterval(timer);
  }, [runs]);
  if (!data && error?.status === 404) return html`<section class="empty"><h1>There is no such sweep</h1><p><a href="/sweeps">All sweeps</a></p></section>`;
  if (!data) return html`<${ErrorBox} error=${error} retry=${again} />`;
  return html`
    <${Header} sweep=${data} status=${runs ? status : ''} again=${again} />
    <${ErrorBox} error=${error} retry=${again} />
    <${Warnings} key=${data.id} of=${data} />
    <${Facts} sweep=${data} />
    ${data.jobs?.length > 0 ? html`<${Results} sweep=${data} query=${query} />` : html`<p class="empty small">Its first jobs are about to be made.</p>`}
  `;
}

function Header({ sweep, status, again }) {
  const [problem, setProblem] = useState(null);
  const cancel = () => sweeps.cancel(sweep.id).then(again).catch(setProblem);
  return html`
    <div class="head">
      <div>
        <p class="crumbs"><a href="/sweeps">Sweeps</a></p>
        <h1>${sweep.name || sweep.id}</h1>
      </div>
      <${State} state=${sweep.state} />
      <${Live} status=${status} />
      <span class="grow"></span>
      <div class="actions">
        ${sweep.state === 'running' && html`<${ConfirmButton} text="Cancel" confirm="Cancel all its jobs?" onConfirm=${cancel} />`}
        <a class="button" href=${`/?sweep=${sweep.id}`}>As leaderboard</a>
        <a class="button" href=${`/new-sweep?sweep=${sweep.id}`}>Duplicate</a>
      </div>
    </div>
    <${ErrorBox} error=${problem} />
  `;
}

function Facts({ sweep }) {
  const { done, failed, running, all } = childrenOf(sweep);
  const best = sweep.best;
  const facts = [
    ['Jobs', `${done} / ${all}`],
    running > 0 && ['Running', running],
    failed > 0 && ['Failed', failed],
    ['Strategy', sweep.strategy],
    ['Metric', `${sweep.metric}, ${sweep.goal}`],
    best && ['Best', html`<a href=${`/jobs/${best.job}`}>${figureText(sweep.metric, best.value)}</a>`],
    ...(best ? Object.entries(best.params || {}).map(([p, v]) => [headOf(p), valueText(v)]) : []),
  ].filter(Boolean);
  return html`
    <div class="facts">
      <div class="progress wide"><progress max="1" value=${all ? done / all : 0} data-state=${sweep.state} aria-label="Jobs that ended"></progress><span>${all ? format.progress(done / all) : ''}</span></div>
      <dl>${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
    </div>
  `;
}

function valueText(v) {
  return typeof v === 'number' ? format.value(v) : typeof v === 'string' ? v : JSON.stringify(v);
}

function Results({ sweep, query }) {
  const [brushes, setBrushes] = useState({});
  const [hovered, setHovered] = useState(null);
  const axes = axesOf(sweep);
  const isShown = (job) => isWithin(axes.map((a, k) => a.place(k === axes.length - 1 ? job.value : job.params?.[a.name])), brushes);
  const brushed = Object.values(brushes).some(Boolean);
  const shown = ranked(brushed ? sweep.jobs.filter(isShown) : sweep.jobs, sweep.goal);
  return html`
    <div class="head small">
      <h2>Parameters and results <small>drag along an axis to keep a part of it</small></h2>
      <span class="grow"></span>
      ${brushed && html`<span class="muted">${shown.length} of ${sweep.jobs.length} jobs</span><button onClick=${() => setBrushes({})}>Show all</button>`}
    </div>
    <div class="scroll"><${Parallel} sweep=${sweep} brushes=${brushes} setBrushes=${setBrushes} hovered=${hovered} setHovered=${setHovered} /></div>
    <h2>Progress of the search</h2>
    <div class="charts">
      <${BestSoFar} sweep=${sweep} />
      <${Curves} sweep=${sweep} jobs=${shown} query=${query} />
    </div>
    <${Controls} view=${viewOf(query)} />
    <${Children} sweep=${sweep} jobs=${shown} hovered=${hovered} setHovered=${setHovered} all=${query.get('all') === '1'} />
  `;
}

function BestSoFar({ sweep }) {
  const rows = bestSoFar(sweep.jobs, sweep.goal);
  if (rows.length === 0) return html`<section class="chart"><div class="chart-head"><h3>Best so far</h3></div><p class="muted chart-plot">No job has reported ${sweep.metric} yet.</p></section>`;
  const x = rows.map((r) => r.index);
  return html`<${Plot}
    title="Best so far"
    xLabel="job"
    yLabel=${sweep.metric}
    points=${{ x, y: rows.map((r) => r.value), colour: 9, href: (i) => `/jobs/${rows[i].job}` }}
    curves=${[{ label: `best ${sweep.metric}`, colour: 2, x, y: rows.map((r) => r.best), isStepped: true, figure: figureText(sweep.metric, rows[rows.length - 1].best) }]}
  />`;
}

/* The metric over the steps of the best children. */
function Curves({ sweep, jobs, query }) {
  const view = viewOf(query);
  const best = jobs.filter((j) => j.value !== null && j.value !== undefined).slice(0, CURVES_MOST);
  const key = best.map((j) => `${j.id}:${j.value}`).join(',');
  const version = useRef(0);
  const { data } = useLoaded(async () => {
    if (best.length === 0) return [];
    const { items } = await compareMetric(best.map((j) => j.id), sweep.metric, { max_points: MAX_POINTS });
    version.current++;
    return items;
  }, key);
  const byJob = new Map((data || []).map((s) => [s.job, columns(s)]));
  const curves = best.map((j, k) => ({ label: `job ${j.index}`, colour: k, columns: byJob.get(j.id) })).filter((c) => c.columns?.step.length > 0);
  if (curves.length === 0) return null;
  return html`<${Chart} title=${`${sweep.metric} of the best ${curves.length}`} curves=${curves} view=${view} version=${`${version.current} ${key}`} />`;
}

const CHILDREN_FIRST = 40;

function Children({ sweep, jobs, hovered, setHovered, all }) {
  const pointers = Object.keys(sweep.space || {});
  const hasRungs = jobs.some((j) => j.rung !== undefined && j.rung !== null);
  const shown = all ? jobs : jobs.slice(0, CHILDREN_FIRST);
  const ids = shown.slice(0, 10).map((j) => j.id).join(',');
  return html`
    <div class="head small">
      <h2>Jobs</h2>
      <span class="grow"></span>
      ${shown.length > 1 && html`<a class="button" href=${`/compare?jobs=${ids}`}>Compare the best ${Math.min(10, shown.length)}</a>`}
    </div>
    <div class="scroll">
      <table class="dense">
        <thead>
          <tr><th class="num">Job</th><th>State</th><th class="num">${headOf(sweep.metric)}</th>${pointers.map((p) => html`<th class="num" title=${`${p}: ${spaceText(sweep.space[p])}`}>${headOf(p)}</th>`)}${hasRungs && html`<th class="num">Rung</th>`}<th>Stopped at</th></tr>
        </thead>
        <tbody>
          ${shown.map(
            (j) => html`
              <tr key=${j.id} class=${hovered === j.id ? 'picked' : ''} onPointerEnter=${() => setHovered(j.id)} onPointerLeave=${() => setHovered(null)}>
                <td class="c-name num"><a class="name" href=${`/jobs/${j.id}`}>${j.index}</a></td>
                <td class="c-state"><${State} state=${j.state} /></td>
                <td class="num" data-label=${headOf(sweep.metric)}>${sweep.best?.job === j.id ? html`<b class="good">${valueOf(sweep, j)}</b>` : valueOf(sweep, j)}</td>
                ${pointers.map((p) => html`<td class="num" data-label=${headOf(p)}>${j.params && p in j.params ? valueText(j.params[p]) : format.NOTHING}</td>`)}
                ${hasRungs && html`<td class="num" data-label="Rung">${j.rung ?? format.NOTHING}</td>`}
                <td data-label="Stopped at">${Number.isFinite(j.stopped_at) ? `step ${format.count(j.stopped_at)}` : format.NOTHING}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    ${jobs.length > CHILDREN_FIRST && html`<${Check} label=${`show all ${jobs.length} jobs`} checked=${all} onChange=${(on) => setQuery({ all: on ? 1 : '' })} />`}
  `;
}

function valueOf(sweep, job) {
  return isShare(sweep.metric) && Number.isFinite(job.value) ? format.percent(job.value, 2) : format.value(job.value);
}
