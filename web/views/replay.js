// A look inside any step of a job: the step is done again, eagerly, with the same bits, and everything that it computed is here.
// Which step, and what of it is shown, is in the address.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import * as format from '../lib/format.js';
import { STEPS_MOST, comparedText, differenceText, inexactText, isUnderWay, lastStep, nameOf, progressText, replayOf, samplesOf, verdictText } from '../lib/replay.js';
import { setQuery } from '../lib/route.js';
import { Choice, ConfirmButton, ErrorBox, useLoaded } from './parts.js';
import { Ops } from './replayops.js';

const LOOK_MS = 500; // between two looks at a replay that is under way
const SAMPLES_FIRST = 24;
const DIFFERENCES_FIRST = 8;

export function Replay({ job, query }) {
  const { data, error, again } = useLoaded(() => jobs.replays(job.id), `${job.id} ${job.state}`);
  const [fault, setFault] = useState(null);
  const items = data?.items || [];
  const isBusy = items.some(isUnderWay);
  useEffect(() => {
    if (!isBusy) return undefined;
    const timer = setInterval(again, LOOK_MS);
    return () => clearInterval(timer);
  }, [isBusy, job.id]);

  const last = lastStep(job);
  const step = Number(query.get('step')) || (items.find((r) => r.automatic) || items[0])?.step || 0;
  useEffect(() => setFault(null), [step]);
  if (last === 0) return html`<p class="empty small">This job has done no step yet. Once it has, any of them can be looked into, while it goes on.</p>`;
  if (!data) return html`<${ErrorBox} error=${error} retry=${again} />`;

  const change = async (act) => {
    try {
      setFault(null);
      await act();
      await again();
    } catch (e) {
      setFault(e);
    }
  };
  const start = (first, n = 1) => {
    setQuery({ step: first, node: '' });
    return change(() => jobs.startReplay(job.id, first, n));
  };
  const replay = step ? replayOf(items, step) : null;
  return html`
    <${Chooser} key=${step} step=${step || last} last=${last} replay=${replay} start=${start} />
    <${Others} items=${items} shown=${replay} query=${query} />
    <${ErrorBox} error=${error || fault} />
    <${Body} job=${job} query=${query} step=${step} last=${last} replay=${replay} start=${start} remove=${(r) => change(() => jobs.removeReplay(job.id, r.step))} />
  `;
}

/* Which step: a number, and its neighbours. */
function Chooser({ step, last, replay, start }) {
  const [wanted, setWanted] = useState(step);
  const [n, setN] = useState(1);
  const first = useRef(null);
  const isKnown = replay && wanted === step && replay.state !== 'failed';
  const submit = (e) => {
    e.preventDefault();
    if (isKnown) first.current.focus();
    else start(wanted, Math.min(n, last - wanted + 1));
  };
  const show = (to) => setQuery({ step: to, node: '' }, { replace: false });
  return html`
    <form class="controls replay-chooser" onSubmit=${submit}>
      <button type="button" disabled=${step <= 1} onClick=${() => show(step - 1)} aria-label="The step before">‹</button>
      <label>Step <input ref=${first} type="number" required min="1" max=${last} step="1" value=${wanted} onInput=${(e) => setWanted(Number(e.target.value))} /></label>
      <button type="button" disabled=${step >= last} onClick=${() => show(step + 1)} aria-label="The step after">›</button>
      <span class="muted">of ${format.count(last)}</span>
      ${!isKnown &&
      html`
        <label title="Several steps, one after the other, in one replay">Steps <input type="number" required min="1" max=${STEPS_MOST} step="1" value=${n} onInput=${(e) => setN(Number(e.target.value))} /></label>
        <button class="primary">Replay it</button>
      `}
    </form>
  `;
}

/* The replays that there are. */
function Others({ items, shown, query }) {
  if (items.length === 0 || (items.length === 1 && shown)) return null;
  const address = (r) => {
    const q = new URLSearchParams(query);
    q.set('step', r.step);
    q.delete('node');
    return `?${q}`;
  };
  const text = (r) => (r.steps > 1 ? `${format.count(r.step)} – ${format.count(r.step + r.steps - 1)}` : format.count(r.step));
  const sorted = [...items].sort((a, b) => a.step - b.step);
  return html`
    <nav class="replays" aria-label="Replays">
      <span class="muted">Replays</span>
      ${sorted.map((r) => html`<a key=${r.id} class="tag" data-state=${r.culprit ? 'failed' : r.state} href=${location.pathname + address(r)} aria-current=${r.id === shown?.id ? 'true' : null}>${text(r)}${r.culprit ? ' not finite' : isUnderWay(r) ? ' …' : ''}</a>`)}
    </nav>
  `;
}

function Body({ job, query, step, last, replay, start, remove }) {
  if (!step) {
    return html`
      <section class="empty small">
        <p>Choose a step. It is done again from the nearest checkpoint, op by op, with the same bits, and everything that it computed is kept: each value’s range, zeros and histogram, its gradient, and the samples of the batch.</p>
        <p>A press on a curve of the overview leads here, too.</p>
      </section>
    `;
  }
  if (step > last || step < 1 || !Number.isInteger(step)) return html`<p class="empty small">There is no step ${query.get('step')}: the job has done ${format.count(last)}.</p>`;
  if (!replay) return html`<section class="empty small"><p>Step ${format.count(step)} has not been replayed.</p><button onClick=${() => start(step)}>Replay step ${format.count(step)}</button></section>`;
  if (isUnderWay(replay)) return html`<${Running} replay=${replay} remove=${remove} />`;
  if (replay.state === 'failed') return html`<${ErrorBox} error=${{ title: `The replay of step ${format.count(replay.step)} failed`, detail: replay.detail }} retry=${() => start(replay.step, replay.steps)} />`;
  return html`<${Looked} key=${replay.id} job=${job} query=${query} step=${step} replay=${replay} start=${start} remove=${remove} />`;
}

function Running({ replay, remove }) {
  const { done, total, phase } = replay.progress || {};
  const known = phase === 'forward' && total > 0;
  return html`
    <section class="replay-running" role="status">
      <p><b>${progressText(replay)}</b></p>
      <progress max="1" value=${known ? done / total : null} data-state="running" aria-label="Progress of the replay"></progress>
      <${ConfirmButton} text="Cancel" confirm="Cancel it?" onConfirm=${() => remove(replay)} />
    </section>
  `;
}

function Looked({ job, query, step, replay, start, remove }) {
  const { data, error, again } = useLoaded(() => jobs.replay(job.id, replay.step), replay.id);
  const types = Object.fromEntries((job.checked?.layers || []).map((l) => [l.name, l.type]));
  const anew = () => start(replay.step, replay.steps);
  const head = html`<${Verdict} replay=${replay} remove=${remove} anew=${anew} />`;
  if (error && !data) return html`${head}<${ErrorBox} error=${error} retry=${error.status === 404 ? anew : again} />`; // its files are gone
  if (!data) return html`${head}<p class="empty small" role="status">Loading the step…</p>`;
  const done = data.done.find((d) => d.step === step);
  const batches = done?.batches?.length || 1;
  const batch = Math.min(batches - 1, Math.max(0, Number(query.get('batch')) || 0));
  return html`
    ${head}
    ${data.culprit && html`<${Culprit} job=${job} replay=${data} culprit=${data.culprit} types=${types} start=${start} />`}
    <${Figures} replay=${data} done=${done} />
    ${batches > 1 && html`<div class="controls"><${Choice} label="Batch of the step" value=${String(batch)} options=${done.batches.map((b, i) => [String(i), `Batch ${i + 1}`])} onChange=${(b) => setQuery({ batch: b === '0' ? '' : b, node: '' })} /></div>`}
    <${Ops} job=${job} replay=${data} query=${query} step=${step} batch=${batch} types=${types} />
    <${Samples} job=${job} replay=${data} step=${step} batch=${batch} query=${query} />
  `;
}

/* Whether eager, graph and what was recorded agree. */
function Verdict({ replay, remove, anew }) {
  const { verdict } = replay;
  const [all, setAll] = useState(false);
  if (!verdict) return null;
  const list = verdict.differences || [];
  return html`
    <section class="replay-verdict" data-identical=${String(verdict.identical)}>
      <div class="head small">
        <b>${verdictText(verdict)}</b>
        <span class="grow"></span>
        ${verdict.identical === null && html`<button onClick=${anew}>Compare again</button>`}
        <${ConfirmButton} text="Delete" confirm="Delete it?" onConfirm=${() => remove(replay)} />
      </div>
      <p>${comparedText(verdict)}</p>
      ${list.length > 0 &&
      html`
        <ol>${list.slice(0, all ? list.length : DIFFERENCES_FIRST).map((d) => html`<li>${differenceText(d)}</li>`)}</ol>
        ${list.length > DIFFERENCES_FIRST && !all && html`<button onClick=${() => setAll(true)}>Show all ${list.length}</button>`}
      `}
      ${!verdict.exact && html`<p class="muted">${inexactText(verdict)}</p>`}
    </section>
  `;
}

/* Where the step stopped being finite. */
function Culprit({ job, replay, culprit, types, start }) {
  const show = () => setQuery({ step: culprit.step, batch: culprit.batch || '', part: culprit.phase === 'forward' ? '' : culprit.phase === 'backward' ? 'backward' : 'all', by: 'nonfinite', node: culprit.node === null ? '' : `n${culprit.node}` });
  const what = culprit.what === 'loss' ? 'The loss' : 'The gradient’s norm';
  const range = (v) => (v.min === null ? 'nothing finite' : `${format.value(v.min)} to ${format.value(v.max)}`);
  const samples = culprit.samples ? samplesOf(replay, culprit.step, { batch: culprit.batch || 0, culprit: culprit.samples }).filter((s) => s.blamed) : [];
  const n = culprit.n_samples ?? samples.length; // of very many the first are told
  return html`
    <section class="error culprit" aria-label="Culprit">
      <b>${what} of step ${format.count(culprit.step)} is not finite</b>
      <p>${culprit.text}</p>
      ${culprit.inputs?.length > 0 &&
      html`
        <div class="scroll">
          <table class="dense">
            <thead><tr><th>Input</th><th>Shape</th><th class="num">Range</th><th class="num">Not finite</th></tr></thead>
            <tbody>
              ${culprit.inputs.map((v) => html`<tr><td>${nameOf(replay, v.value, types)}</td><td>${format.shape(v.shape)}</td><td class="num">${range(v)}</td><td class="num">${format.count(v.non_finite)}</td></tr>`)}
            </tbody>
          </table>
        </div>
      `}
      ${samples.length > 0 && html`<p>${n === 1 ? 'One sample' : `${format.count(n)} samples`} of the batch ${n === 1 ? 'leads' : 'lead'} there: ${samples.slice(0, 8).map((s, i) => html`${i > 0 ? ', ' : ''}<a href="#samples">${typeof s.label === 'string' ? `${s.label} ` : ''}${s.sample}</a>`)}${n > 8 ? ', …' : ''}</p>`}
      <div class="actions">
        ${culprit.node !== null && html`<button onClick=${show}>Show the op</button>`}
        ${culprit.kind === 'parameter' && culprit.step > 1 && html`<button onClick=${() => start(culprit.step - 1)}>Replay step ${format.count(culprit.step - 1)}</button>`}
      </div>
    </section>
  `;
}

function Figures({ replay, done }) {
  const facts = [
    done && ['Loss', format.value(done.loss)],
    done && ['Gradient’s norm', format.value(done.grad_norm)],
    done && Number.isFinite(done.factor) && done.factor !== 1 && ['Learning rates times', format.value(done.factor)],
    done && ['Samples', format.count(done.batches.reduce((n, b) => n + b.n, 0))],
    ['Replayed from', replay.from?.kind === 'checkpoint' ? `the checkpoint of step ${format.count(replay.from.step)}` : 'the start'],
    ['Values', `${format.bytes(replay.values_bytes)}${replay.values_truncated ? ', not all of them kept' : ''}`],
  ].filter(Boolean);
  return html`<div class="facts"><dl>${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl></div>`;
}

/* What the step was fed, as the model saw it. */
function Samples({ job, replay, step, batch, query }) {
  const [most, setMost] = useState(SAMPLES_FIRST);
  const order = query.get('samples') === 'loss' ? 'loss' : 'batch';
  const culprit = replay.culprit?.step === step && (replay.culprit.batch || 0) === batch ? replay.culprit.samples || [] : [];
  const list = samplesOf(replay, step, { batch, order, culprit });
  if (list.length === 0) return null;
  const options = [
    ['batch', 'As in the batch'],
    ['loss', 'Largest loss first'],
  ];
  return html`
    <section id="samples">
      <div class="head small">
        <h2>Samples <small>${format.count(list.length)} of the batch</small></h2>
        <span class="grow"></span>
        <${Choice} label="Order of the samples" value=${order} options=${options} onChange=${(o) => setQuery({ samples: o === 'batch' ? '' : o })} />
      </div>
      <ul class=${list.some((s) => s.image) ? 'samples' : 'samples texts'}>
        ${list.slice(0, most).map((s) => html`<${Sample} key=${s.id} address=${jobs.replaySampleAddress(job.id, replay.step, s.id)} sample=${s} />`)}
      </ul>
      ${list.length > most && html`<p class="more"><button onClick=${() => setMost(most * 4)}>Show more</button></p>`}
    </section>
  `;
}

function Sample({ address, sample: s }) {
  const text = `Sample ${s.sample}, row ${s.row} of the batch`;
  return html`
    <li class=${`${s.wrong ? 'wrong' : ''} ${s.blamed ? 'blamed' : ''}`} title=${text}>
      ${s.image && html`<img src=${address} alt=${text} loading="lazy" />`}
      ${s.text !== null && s.text !== undefined && html`<p>${s.text}</p>`}
      ${s.columns && html`<dl class="row">${Object.entries(s.columns).map(([name, v]) => html`<div><dt>${name}</dt><dd>${figure(v)}</dd></div>`)}</dl>`}
      ${s.blamed && html`<strong>not finite</strong>`}
      ${s.prediction !== null && s.prediction !== undefined && html`<b>said ${answerText(s.prediction)}</b>`}
      ${s.label !== null && s.label !== undefined && html`<small>is ${answerText(s.label)}</small>`}
      ${s.loss !== null && s.loss !== undefined && html`<small>loss ${format.value(s.loss)}</small>`}
    </li>
  `;
}

function figure(v) {
  return typeof v === 'number' ? format.value(v) : String(v ?? 'missing');
}

/* A class, shares of classes [["Sandal", 0.7]], or figures {"price": 3}. */
function answerText(answer) {
  if (Array.isArray(answer)) return answer.map(([name, share]) => `${name} ${format.percent(Number(share))}`).join(', ');
  if (answer && typeof answer === 'object') return Object.entries(answer).map(([name, v]) => `${name} ${figure(v)}`).join(', ');
  return figure(answer);
}
