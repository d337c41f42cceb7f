// A new sweep: a job to begin with, which of its settings to vary and over what, and what the best one is.

import { html, render } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { address, examples, jobs, sweeps } from '../api.js';
import { leaves } from '../lib/diff.js';
import * as format from '../lib/format.js';
import { isHighBetter } from '../lib/leaderboard.js';
import { token } from '../lib/pointer.js';
import { go } from '../lib/route.js';
import { SPACES, gridSize, isSweep, metricsOf, rowsOf, sweepDocument, valuesOf } from '../lib/sweeps.js';
import { Field, OtherFaults, faultsAt } from './fields.js';
import { Check, Choice, ErrorBox, Shell, quoted, useLoaded } from './parts.js';

const RECENT = 30; // jobs offered to begin with
const FIRST_ROW = { pointer: '/optimizer/lr', kind: 'log_uniform', text: '0.0001, 0.1' };
const STRATEGIES = [
  ['random', 'Random'],
  ['grid', 'Grid'],
  ['asha', 'ASHA'],
];
const FIRST = { name: '', metric: 'val/accuracy', goal: 'max', strategy: 'random', max_jobs: '20', parallel: '2', seed: '1', min_steps: '', eta: '3', median: true };
const POINTERS = ['/base', '/name', '/metric', '/goal', '/strategy', '/max_jobs', '/parallel', '/seed', '/asha', '/space'];

export function title() {
  return 'New sweep';
}

export function mount(el, params) {
  const from = params.query.get('from') || '';
  const sweep = params.query.get('sweep') || '';
  const example = params.query.get('example') || '';
  render(html`<${NewSweep} key=${`${from} ${sweep} ${example}`} from=${from} sweep=${sweep} example=${example} />`, el);
  return () => render(null, el);
}

/* The jobs to choose from: [{key, text, load()}]. */
async function basesOf(from) {
  const [recent, ready] = await Promise.all([jobs.list({ limit: RECENT }), examples.jobs()]);
  const bases = [
    ...recent.items.filter((j) => j.kind !== 'external' && !j.sweep).map((j) => ({ key: `job ${j.id}`, text: `${j.name || j.id} (job)`, load: async () => (await jobs.get(j.id)).spec })),
    ...ready.map((e) => ({ key: `example ${e.name}`, text: `${e.name} (example)`, load: async () => jobOf(JSON.parse(await examples.text(e.name))) })),
  ];
  if (from && !bases.some((b) => b.key === `job ${from}`)) bases.unshift({ key: `job ${from}`, text: `job ${from.slice(-6)}`, load: async () => (await jobs.get(from)).spec });
  return bases;
}

/* The job of an example, which may be a sweep itself. */
function jobOf(document) {
  return isSweep(document) ? document.base : document;
}

/* What the form begins with, where it is a sweep. */
async function modelOf(sweep, example) {
  if (sweep) return sweeps.get(sweep);
  const document = example ? JSON.parse(await examples.text(example)) : null;
  return isSweep(document) ? document : null;
}

/* The series that BASE will have; null until the server has looked at it, or where it finds faults. */
function useMetrics(base) {
  const [state, setState] = useState({ base: null, metrics: null });
  useEffect(() => {
    if (!base) return undefined;
    const stop = new AbortController();
    const set = (metrics) => stop.signal.aborted || setState({ base, metrics });
    jobs.check(JSON.stringify(base), stop.signal).then((answer) => set(metricsOf(base, answer.checked || answer)), () => set(null));
    return () => stop.abort();
  }, [base]);
  return state.base === base ? state.metrics : null;
}

function NewSweep({ from, sweep, example }) {
  const bases = useLoaded(() => basesOf(from), from);
  const model = useLoaded(() => modelOf(sweep, example), `${sweep} ${example}`);
  const [chosen, setChosen] = useState(from ? `job ${from}` : sweep || example ? 'sweep' : '');
  const [loaded, setLoaded] = useState({ key: '', base: null }); // the job that was asked for last
  const [values, setValues] = useState(FIRST);
  const [rows, setRows] = useState([FIRST_ROW]);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const key = useRef({}); // {text, id}

  useEffect(() => {
    const s = model.data;
    if (!s) return;
    setValues(valuesOf(s, FIRST));
    setRows(rowsOf(s.space));
    setLoaded({ key: 'sweep', base: s.base });
  }, [model.data]);
  useEffect(() => {
    if (!chosen && bases.data?.length) setChosen(bases.data[0].key);
  }, [bases.data]);
  useEffect(() => {
    const found = bases.data?.find((b) => b.key === chosen);
    if (found) found.load().then((job) => setLoaded({ key: chosen, base: job }), setProblem);
  }, [chosen, bases.data]);
  const base = loaded.key === chosen ? loaded.base : null; // a late answer is of another choice

  const isChosen = useRef(false); // the metric, by the reader
  const metrics = useMetrics(base);
  useEffect(() => {
    const isMeant = isChosen.current || chosen === 'sweep';
    if (metrics && !(isMeant && metrics.includes(values.metric))) setMetric(metrics[0]);
  }, [metrics]); // not while the reader types

  const pointers = useMemo(() => (base ? [...leaves(base).keys()].filter((p) => p && !/^\/(name|notes|project|tags|kind)/.test(p)) : []), [base]);
  const set = (name) => (e) => setValues({ ...values, [name]: e.target.value });
  const setMetric = (metric) => setValues((v) => ({ ...v, metric, goal: isHighBetter(metric) ? 'max' : 'min' }));
  const chooseMetric = (e) => {
    isChosen.current = true;
    setMetric(e.target.value);
  };
  const document = sweepDocument(values, rows, base);
  const size = gridSize(document.space);

  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    const text = JSON.stringify(document);
    if (key.current.text !== text) key.current = { text, id: crypto.randomUUID?.() ?? String(Math.random()) }; // the same text sent again makes no second sweep
    try {
      const made = await sweeps.create(document, key.current.id);
      go(`/sweeps/${made.id}`);
    } catch (e) {
      setProblem(e);
      setBusy(false);
    }
  };
  const number = (name, label, hint, more = {}) => html`<${Field} label=${label} pointer=${more.pointer || `/${name}`} problem=${problem} hint=${hint}><input type="number" step=${more.step || 1} min=${more.min ?? 1} value=${values[name]} onInput=${set(name)} required=${more.required ?? true} /><//>`;
  return html`
    <div class="head">
      <div>
        <p class="crumbs"><a href="/sweeps">Sweeps</a></p>
        <h1>New sweep</h1>
      </div>
    </div>
    <${ErrorBox} error=${bases.error || model.error} retry=${bases.again} />
    <form class="add" onSubmit=${submit}>
      <div class="card form">
        <${Field} label="Begin with" pointer="/base" problem=${problem}>
          <select value=${chosen} onChange=${(e) => setChosen(e.target.value)}>
            ${chosen === 'sweep' && html`<option value="sweep">the job of ${model.data?.name || 'that sweep'}</option>`}
            ${(bases.data || []).map((b) => html`<option value=${b.key}>${b.text}</option>`)}
          </select>
        <//>
        <fieldset class="space">
          <legend>Vary</legend>
          ${rows.map((row, k) => html`<${SpaceRow} key=${k} row=${row} problem=${problem} change=${(r) => setRows(rows.map((x, i) => (i === k ? r : x)))} remove=${rows.length > 1 ? () => setRows(rows.filter((_, i) => i !== k)) : null} />`)}
          <datalist id="pointers">${pointers.map((p) => html`<option value=${p}></option>`)}</datalist>
          <button type="button" onClick=${() => setRows([...rows, { pointer: '', kind: 'values', text: '' }])}>Add a setting</button>
        </fieldset>
        <${Choice} label="Strategy" value=${values.strategy} options=${STRATEGIES} onChange=${(strategy) => setValues({ ...values, strategy })} />
        <p class="muted">${STRATEGY_TEXT[values.strategy]} ${values.strategy === 'grid' && Number.isFinite(size) ? `That is ${format.count(size)} jobs.` : ''}</p>
        <div class="form-grid">
          <${Field} label="Metric" pointer="/metric" problem=${problem} hint="a series of its jobs">
            <input required list="metrics" value=${values.metric} onInput=${chooseMetric} spellcheck=${false} />
          <//>
          <datalist id="metrics">${(metrics || []).map((m) => html`<option value=${m}></option>`)}</datalist>
          <${Field} label="Goal" pointer="/goal" problem=${problem}>
            <select value=${values.goal} onChange=${set('goal')}><option value="max">highest</option><option value="min">lowest</option></select>
          <//>
          ${number('max_jobs', 'Jobs at most')}
          ${number('parallel', 'At a time')}
          ${values.strategy !== 'grid' && number('seed', 'Seed', 'the same seed, the same settings', { min: 0 })}
          ${values.strategy === 'asha' && number('min_steps', 'First rung at step', 'before it nothing is stopped', { pointer: '/asha/min_steps' })}
          ${values.strategy === 'asha' && number('eta', 'Keep one of', 'at each rung', { pointer: '/asha/eta', min: 2 })}
        </div>
        ${values.strategy === 'asha' && html`<${Check} label="also stop jobs that are worse than the median at the same step" checked=${values.median} onChange=${(median) => setValues({ ...values, median })} />`}
        <${Field} label="Name" pointer="/name" problem=${problem}><input maxlength="200" value=${values.name} onInput=${set('name')} placeholder="learning rates" /><//>
        <${OtherFaults} problem=${problem} pointers=${POINTERS} />
        <div class="actions"><button class="primary" disabled=${busy || !base}>${busy ? 'Starting…' : 'Start sweep'}</button></div>
      </div>
      <aside>
        <h2>The same with curl</h2>
        <${Shell} text=${`curl ${address('/sweeps')} --json '${quoted(document)}'`} />
      </aside>
    </form>
  `;
}

const STRATEGY_TEXT = {
  random: 'Settings are drawn by chance.',
  grid: 'Every combination of the values.',
  asha: 'Settings are drawn by chance, and what is behind at a rung is stopped there.',
};

function SpaceRow({ row, problem, change, remove }) {
  const hint = SPACES.find(([kind]) => kind === row.kind)?.[2];
  const at = `/space/${token(row.pointer)}`;
  const faults = row.pointer ? faultsAt(problem, at) : [];
  return html`
    <div class="space-row">
      <input aria-label="Setting, as a JSON pointer" list="pointers" placeholder="/optimizer/lr" value=${row.pointer} onInput=${(e) => change({ ...row, pointer: e.target.value })} spellcheck=${false} />
      <select aria-label="How it varies" value=${row.kind} onChange=${(e) => change({ ...row, kind: e.target.value })}>${SPACES.map(([kind, text]) => html`<option value=${kind}>${text}</option>`)}</select>
      <input aria-label="Values" placeholder=${hint} value=${row.text} onInput=${(e) => change({ ...row, text: e.target.value })} aria-invalid=${faults.length > 0 ? 'true' : null} spellcheck=${false} />
      ${remove && html`<button type="button" class="quiet" aria-label="Leave this setting out" onClick=${remove}>✕</button>`}
      ${faults.map((f) => html`<em class="fault-text" role="alert">${f.detail}</em>`)}
    </div>
  `;
}
