// One job: where it is, what came out of it, and what can be done with it.  Everything here follows the job's events.

import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { follow, jobs } from '../api.js';
import * as format from '../lib/format.js';
import { figureText, headOf, isHighBetter } from '../lib/leaderboard.js';
import { pretty } from '../lib/locate.js';
import { go } from '../lib/route.js';
import { bestPoint, bestSeries, charts, colour } from '../lib/series.js';
import { append, columns, earliest, emptyColumns, rewind } from '../lib/smooth.js';
import { Chart, Controls, LIVE_MOST, MAX_POINTS, viewOf } from './curves.js';
import { Files } from './files.js';
import { Fork } from './fork.js';
import { Graph } from './graph.js';
import { Histograms } from './histograms.js';
import { Layers } from './layers.js';
import { Log } from './log.js';
import { ConfirmButton, ErrorBox, Live, Progress, State, Time, atMostEvery, etaOf, isTerminal, runtimeOf, useNow } from './parts.js';
import { Predict } from './predict.js';
import { Replay } from './replay.js';
import { Report } from './report.js';
import { Warnings } from './warnings.js';

const SERIES_MOST = 64; // curves that the page loads
const DRAW_MS = 150; // between two drawings of live curves
const REFRESH_MS = 300; // between two looks at the job's row

/* A job of another program has metrics and no more: it was not built here. */
export const TABS = [
  { name: '', text: 'Overview', external: true },
  { name: 'report', text: 'Report' },
  { name: 'predict', text: 'Predict' },
  { name: 'histograms', text: 'Histograms' },
  { name: 'graph', text: 'Graph' },
  { name: 'replay', text: 'Replay' },
  { name: 'spec', text: 'Spec', external: true },
  { name: 'log', text: 'Log', external: true },
  { name: 'files', text: 'Files', external: true },
];

function isExternal(job) {
  return (job.kind ?? job.spec?.kind) === 'external';
}

export function title(params) {
  return `Job ${params.job.slice(-6)}`;
}

export function mount(el, params) {
  render(html`<${Job} key=${params.job} id=${params.job} query=${params.query} />`, el);
  return () => render(null, el);
}

/* The job's row and its curves, kept up by its events. */
function useJob(id) {
  const [job, setJob] = useState(null);
  const [error, setError] = useState(null);
  const [status, setStatus] = useState('');
  const [version, setVersion] = useState(0); // of the curves
  const [news, setNews] = useState({ log: 0, files: 0, histograms: 0 }); // how often each was written to
  const series = useRef(new Map());

  const refresh = async () => {
    try {
      setJob(await jobs.get(id));
      setError(null);
    } catch (e) {
      setError(e);
    }
  };

  const ended = job ? isTerminal(job.state) : null; // null: not known yet

  useEffect(() => {
    refresh();
  }, [id]);
  useEffect(() => {
    if (ended === null) return undefined;
    const draw = atMostEvery(DRAW_MS, () => setVersion((v) => v + 1));
    const look = atMostEvery(REFRESH_MS, refresh);
    const reload = atMostEvery(1000, () => loadSeries(id, series.current).then(draw, () => {}));
    const bump = (name) => setNews((n) => ({ ...n, [name]: n[name] + 1 }));
    const bumpLog = atMostEvery(REFRESH_MS, () => bump('log'));
    const bumpHistograms = atMostEvery(2000, () => bump('histograms')); // all of them come at once
    const advance = atMostEvery(DRAW_MS, () => setJob((j) => j && { ...j, progress: { ...j.progress, fraction: undefined, eta_s: undefined, ...progress } }));
    let progress = {}; // the last of many
    const onEvent = {
      metrics(data) {
        if (!series.current.has(data.series)) series.current.set(data.series, emptyColumns());
        const list = series.current.get(data.series);
        if (append(list, data.points || []) === 0) return;
        if (list.step.length > LIVE_MOST) reload();
        draw();
      },
      progress(data) {
        progress = data;
        advance();
      },
      state: look,
      job: look,
      warning: look,
      log: bumpLog,
      artifact: () => bump('files'),
      checkpoint: () => bump('files'),
      histogram: bumpHistograms,
      rewind(data) {
        for (const list of series.current.values()) rewind(list, data.step);
        draw();
        reload();
      },
    };
    // The stream begins with the job's first event, so nothing is lost between the answers and it.
    const end = ended ? () => {} : follow(id, {
      status: setStatus,
      event: (kind, data) => onEvent[kind]?.(data),
      resync() {
        look();
        reload();
        bumpLog();
      },
    });
    reload();
    bumpLog();
    return () => {
      end();
      for (const timer of [draw, look, reload, bumpLog, bumpHistograms, advance]) timer.cancel();
    };
  }, [id, ended]);

  return { job, error, status, version, news, series: series.current, refresh };
}

/* Fetch all series of a job into MAP, and keep what came live in the meantime. */
async function loadSeries(id, map) {
  const { items } = await jobs.series(id);
  await Promise.all(
    items.slice(0, SERIES_MOST).map(async ({ name }) => {
      const fresh = columns(await jobs.metric(id, name, { max_points: MAX_POINTS }));
      const old = map.get(name);
      if (old) append(fresh, old.step.map((step, i) => [step, old.time[i], old.value[i]]));
      map.set(name, fresh);
    }),
  );
}

function Job({ id, query }) {
  const { job, error, status, version, news, series, refresh } = useJob(id);
  const tab = query.get('tab') || '';

  useEffect(() => {
    if (!job) return;
    const progress = job.state === 'running' ? `${format.progress(job.progress?.fraction ?? job.progress?.step / job.progress?.n_steps)} ` : '';
    document.title = `${progress}${job.name || id} · Tandem`;
  }, [job]);

  if (!job && error?.status === 404) return html`<section class="empty"><h1>There is no such job</h1><p>It may have been deleted. <a href="/">All jobs</a></p></section>`;
  if (!job) return html`<${ErrorBox} error=${error} retry=${refresh} />`;
  const body = {
    '': () => html`<${Overview} job=${job} series=${series} version=${version} query=${query} logNews=${news.log} />`,
    report: () => html`<${Report} job=${job} query=${query} />`,
    predict: () => html`<${Predict} job=${job} />`,
    histograms: () => html`<${Histograms} job=${job} news=${news.histograms} />`,
    graph: () => html`<${Graph} job=${job} query=${query} />`,
    replay: () => html`<${Replay} job=${job} query=${query} />`,
    spec: () => html`<${Spec} job=${job} />`,
    log: () => html`<${Log} job=${job} news=${news.log} />`,
    files: () => html`<${Files} job=${job} news=${news.files} series=${[...series.keys()]} />`,
  };
  return html`
    <${Header} job=${job} status=${isTerminal(job.state) ? '' : status} best=${bestOf(job, series)} refresh=${refresh} />
    <${ErrorBox} error=${error} retry=${refresh} />
    ${job.error && html`<${Failure} job=${job} tab=${tab} />`}
    <${Warnings} key=${job.id} of=${job} />
    <${Tabs} job=${job} query=${query} tab=${tab} />
    ${(body[tab] || body[''])()}
  `;
}

/* On a narrow screen they are a strip, moved so that the present one is seen. */
function Tabs({ job, query, tab }) {
  const nav = useRef(null);
  useEffect(() => {
    const here = nav.current.querySelector('[aria-current]');
    if (here) nav.current.scrollLeft = here.offsetLeft - nav.current.offsetLeft - (nav.current.clientWidth - here.clientWidth) / 2;
  }, [tab]);
  return html`
    <nav class="tabs" aria-label="Parts of the job" ref=${nav}>
      ${TABS.filter((t) => t.external || !isExternal(job)).map(({ name, text }) => html`<a href=${tabAddress(query, name)} aria-current=${tab === name ? 'page' : null}>${text}</a>`)}
    </nav>
  `;
}

/* What stopped it, and a way into the step where that was. */
function Failure({ job, tab }) {
  const { error } = job;
  return html`
    <${ErrorBox} error=${{ title: isTerminal(job.state) ? 'The job failed' : 'An attempt failed', ...error }}>
      ${error.step > 0 && tab !== 'replay' && !isExternal(job) && html`<a class="button" href=${stepAddress(job.id, error.step)}>Look into step ${format.count(error.step)}</a>`}
    <//>
  `;
}

function stepAddress(job, step) {
  return `/jobs/${job}?tab=replay&step=${step}`;
}

function tabAddress(query, name) {
  const q = new URLSearchParams(query);
  if (name) q.set('tab', name);
  else q.delete('tab');
  const text = q.toString();
  return location.pathname + (text && `?${text}`);
}

function Header({ job, status, best, refresh }) {
  const tags = Array.isArray(job.tags) ? job.tags : [];
  return html`
    <div class="head">
      <div>
        <p class="crumbs"><a href="/">Jobs</a>${job.project && html` / <a href=${`/?project=${encodeURIComponent(job.project)}`}>${job.project}</a>`}</p>
        <h1>${job.name || job.id}</h1>
      </div>
      <${State} state=${job.state} />
      <${Live} status=${status} />
      <span class="grow"></span>
      <${Actions} job=${job} refresh=${refresh} />
    </div>
    ${(job.notes || tags.length > 0) &&
    html`<p class="notes">${job.notes} ${tags.map((t) => html`<a class="tag" href=${`/?tag=${encodeURIComponent(t)}`}>${t}</a>`)}</p>`}
    <${Kin} job=${job} />
    <${Facts} job=${job} best=${best} />
  `;
}

/* What it came from: the job that it was forked from, the sweep that made it. */
function Kin({ job }) {
  if (!job.parent && !job.sweep) return null;
  const { parent, sweep } = job;
  return html`
    <p class="notes">
      ${parent && html`Forked from <a href=${`/jobs/${parent.job}`}>job ${parent.job.slice(-6)}</a>${Number.isFinite(parent.step) ? `, step ${format.count(parent.step)}` : ''} (${parent.checkpoint}). `}
      ${sweep && html`Job ${sweep.index} of <a href=${`/sweeps/${sweep.id}`}>sweep ${sweep.id.slice(-6)}</a>: ${Object.entries(sweep.params || {}).map(([p, v]) => html`<span class="setting" title=${p}>${headOf(p)} <b>${typeof v === 'string' ? v : JSON.stringify(v)}</b></span>`)}`}
    </p>
  `;
}

/* What can be done with a job in its state. */
const ACTIONS = [
  { name: 'pause', text: 'Pause', when: (s, job) => ['running', 'queued', 'starting'].includes(s) && !isExternal(job) },
  { name: 'resume', text: 'Resume', when: (s) => s === 'paused' },
  { name: 'cancel', text: 'Cancel', confirm: 'Cancel it?', when: (s) => !isTerminal(s) && s !== 'cancelling' },
  { name: 'retry', text: 'Retry', when: (s, job) => isTerminal(s) && !isExternal(job) },
  { name: 'remove', text: 'Delete', confirm: 'Delete it?', when: isTerminal },
];

function Actions({ job, refresh }) {
  const [error, setError] = useState(null);
  const [forking, setForking] = useState(false);
  const act = async (name) => {
    try {
      setError(null);
      if (name === 'remove') {
        await jobs.remove(job.id);
        return go('/');
      }
      const answer = await jobs.act(job.id, name);
      if (answer?.id && answer.id !== job.id) go(`/jobs/${answer.id}`);
      else await refresh();
    } catch (e) {
      setError(e);
    }
  };
  return html`
    <div class="actions">
      ${ACTIONS.filter((a) => a.when(job.state, job)).map((a) =>
        a.confirm
          ? html`<${ConfirmButton} key=${a.name} text=${a.text} confirm=${a.confirm} onConfirm=${() => act(a.name)} />`
          : html`<button key=${a.name} onClick=${() => act(a.name)}>${a.text}</button>`,
      )}
      ${!isExternal(job) &&
      html`
        ${job.progress?.step > 0 && html`<button onClick=${() => setForking(true)}>Fork</button>`}
        <a class="button" href=${`/new?from=${job.id}`}>Duplicate</a>
        <a class="button" href=${`/new-sweep?from=${job.id}`}>Sweep</a>
      `}
      <${ErrorBox} error=${error} />
      ${forking && html`<${Fork} job=${job} onClose=${() => setForking(false)} />`}
    </div>
  `;
}

function Facts({ job, best }) {
  const now = useNow(job.started_at || job.created_at);
  const p = job.progress || {};
  const s = job.summary || {};
  const running = !isTerminal(job.state) && job.state !== 'queued';
  const step = p.n_steps ? `${format.count(p.step)} / ${format.count(p.n_steps)}` : format.count(p.step);
  const facts = [
    p.step > 0 || !isExternal(job) ? ['Step', step] : null,
    Number.isFinite(p.epoch) && p.epoch > 0 && ['Epoch', p.phase && running ? `${p.epoch}, ${p.phase}` : p.epoch],
    job.state === 'running' && !isExternal(job) && ['Time left', format.duration(etaOf(job, now))],
    job.started_at && ['Running time', format.duration(runtimeOf(job, now))],
    ...resultsOf(s).map((name) => [headOf(name), figureText(name, s[name])]),
    best && [`Best ${headOf(best.name).toLowerCase()}`, html`${figureText(best.name, best.value)} <small>at step ${format.count(best.step)}</small>`],
    job.state === 'succeeded' && p.step < p.n_steps && ['Stopped early', `at step ${format.count(p.step)}`],
  ].filter(Boolean);
  return html`
    <div class="facts">
      ${!isExternal(job) && html`<${Progress} job=${job} wide />`}
      <dl>${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
    </div>
  `;
}

/* The best value of the series by which the best weights are kept, and its step. */
function bestOf(job, series) {
  const name = bestSeries(job.spec);
  const point = name && series.has(name) && bestPoint(series.get(name), isHighBetter(name));
  return point ? { name, ...point } : null;
}

const FACTS_MOST = 6; // results at the top of the page

/* The results worth the top of the page: the training loss, what was measured on the splits, the test first, and what another
 * program named in its own way. */
function resultsOf(summary) {
  const names = Object.keys(summary);
  const of = (split) => names.filter((n) => n.startsWith(`${split}/`));
  const loss = names.filter((n) => n === 'train/loss');
  const measured = [...of('test'), ...of('val')].sort((a, b) => /loss$/.test(a) - /loss$/.test(b));
  const others = names.filter((n) => !/^(train|val|test|system)\//.test(n));
  return [...loss, ...measured, ...others].slice(0, FACTS_MOST);
}

function Overview({ job, series, version, query, logNews }) {
  const view = viewOf(query);
  const groups = charts([...series.keys()].filter((name) => series.get(name).step.length > 0));
  const origin = earliest(series.values());
  const curves = (names) => names.map((name) => ({ label: name, colour: colour(name), columns: series.get(name), origin }));
  const detail = (names) => async (from, to) =>
    Promise.all(
      names.map(async (name) => ({
        label: name,
        colour: colour(name),
        columns: columns(await jobs.metric(job.id, name, { from, to, max_points: MAX_POINTS })),
        origin,
      })),
    );
  return html`
    <div class="with-aside">
      <div>
        <${Controls} view=${view} />
        ${groups.length === 0 && html`<p class="empty small">${isTerminal(job.state) ? 'No points were recorded.' : 'Curves appear here with the first points.'}</p>`}
        <div class="charts">
          ${groups.map((g) => html`<${Chart} key=${g.name} title=${g.name} curves=${curves(g.series)} view=${view} version=${version} detail=${detail(g.series)} lookInto=${!isExternal(job) && ((step) => stepAddress(job.id, step))} />`)}
        </div>
        <h2>Log</h2>
        <${Log} job=${job} news=${logNews} lines=${10} />
      </div>
      <aside>
        <h2>History</h2>
        <${History} job=${job} />
        <h2>About</h2>
        <${About} job=${job} />
      </aside>
    </div>
  `;
}

/* A move to where the job stood already is no news, unless it has a reason of its own; the first is where it all began. */
function isNews(t, i) {
  return i === 0 || t.from !== t.to || t.detail || t.reason !== t.event;
}

function History({ job }) {
  const rows = (job.history || []).filter(isNews).reverse();
  return html`
    <ol class="history">
      ${rows.map(
        (t) => html`
          <li data-state=${t.to}>
            <b>${format.words(t.to)}</b> <${Time} at=${t.time} />
            <p>${format.words(t.reason || t.event)}${t.attempt > 1 ? `, attempt ${t.attempt}` : ''}${t.detail ? `: ${t.detail}` : ''}</p>
          </li>
        `,
      )}
    </ol>
  `;
}

function About({ job }) {
  const r = job.resources || job.spec?.resources || {};
  const rows = [
    ['Id', html`<code>${job.id}</code>`],
    ['Owner', job.owner],
    ['Mode', job.spec?.mode],
    ['Seed', job.spec?.seed],
    ['Data', job.spec?.data?.dataset && html`<a href=${`/datasets/${encodeURIComponent(job.spec.data.dataset)}`}>${job.spec.data.dataset}</a>`],
    isExternal(job) && ['Kind', 'external: its metrics come from another program'],
    job.checked && ['Parameters', format.count(job.checked.parameters)],
    !isExternal(job) && ['Threads', r.threads],
    !isExternal(job) && ['Memory', r.memory_mb && `${format.count(r.memory_mb)} MiB`],
    !isExternal(job) && ['Priority', job.priority],
    ['Attempt', job.attempt],
    ['Created', html`<${Time} at=${job.created_at} />`],
    ['Numerics', job.engine?.fingerprint],
    job.engine?.counters && ['Operations', countersText(job.engine.counters)],
    job.engine && 'exact' in job.engine && ['Bit-exact', job.engine.exact ? 'yes' : 'no: attempts ran on unlike machines'],
  ].filter((row) => row && row[1] !== undefined && row[1] !== null && row[1] !== '');
  return html`<dl class="about">${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;
}

/* How the engine ran: one by one, or replayed from a recording. */
function countersText(c) {
  return `${format.count(c.dispatched)} run one by one, ${format.count(c.recorded)} recorded, ${format.count(c.replayed)} replayed by ${format.count(c.plans)} plans`;
}

function Spec({ job }) {
  const [copied, setCopied] = useState(false);
  const text = pretty(job.spec);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`
    <div class="with-aside even">
      <div>
        <div class="head small">
          <h2>Spec, all defaults filled in</h2>
          <span class="grow"></span>
          ${navigator.clipboard && html`<button onClick=${copy}>${copied ? 'Copied' : 'Copy'}</button>`}
        </div>
        <pre class="code">${text}</pre>
      </div>
      <div>${job.checked && html`<h2>Model</h2><${Layers} checked=${job.checked} />`}</div>
    </div>
  `;
}
