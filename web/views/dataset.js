// One data set: what is in it, how its columns were understood and how that is put right, where it came from, and how it is used.

import { html, render } from 'htm/preact';
import { useState } from 'preact/hooks';
import { address, datasets } from '../api.js';
import { FORMATS, balance, imbalance, isBusy, kindText, startingJob } from '../lib/datasets.js';
import * as format from '../lib/format.js';
import { go } from '../lib/route.js';
import { Columns } from './columns.js';
import { DatasetProgress, samplesText } from './datasets.js';
import { Field, OtherFaults } from './fields.js';
import { ConfirmButton, ErrorBox, Live, Shell, State, Time, quoted, useLive } from './parts.js';

const CLASSES_FIRST = 30; // rows of the class balance until the rest is asked for

export function title(params) {
  return decodeURIComponent(params.dataset);
}

export function mount(el, params) {
  const name = decodeURIComponent(params.dataset);
  render(html`<${Dataset} key=${name} name=${name} />`, el);
  return () => render(null, el);
}

function Dataset({ name }) {
  let state = '';
  const { data, error, status, again } = useLive(() => datasets.get(name), name, (kind, event) => {
    if (kind !== 'dataset' || event.name !== name) return undefined;
    const isNews = event.state !== state && event.state !== 'deleted'; // of what is gone nothing more can be asked
    return isNews || ((d) => ({ ...d, ...event }));
  });
  state = data?.state;
  if (state === 'deleted' || (!data && error?.status === 404)) return html`<${Missing} name=${name} />`;
  if (!data) return html`<${ErrorBox} error=${error} retry=${again} />`;
  return html`
    <${Header} dataset=${data} status=${isBusy(data) ? status : ''} again=${again} />
    <${ErrorBox} error=${error} retry=${again} />
    ${data.error && html`<${ErrorBox} error=${{ title: 'It could not be made ready', message: data.error.detail, pointer: data.error.pointer, errors: [] }} />`}
    <${Facts} dataset=${data} />
    <div class="with-aside wide">
      <div><${Contents} dataset=${data} again=${again} /></div>
      <aside><${About} dataset=${data} again=${again} /></aside>
    </div>
  `;
}

function Missing({ name }) {
  return html`
    <section class="empty">
      <h1>There is no dataset "${name}"</h1>
      <p><a class="button primary" href=${`/add-dataset?name=${encodeURIComponent(name)}`}>Add it</a></p>
      <p><a href="/datasets">All datasets</a></p>
    </section>
  `;
}

function Header({ dataset, status, again }) {
  const [problem, setProblem] = useState(null);
  const name = dataset.name;
  const attempt = (act) => async () => {
    try {
      setProblem(null);
      await act();
    } catch (e) {
      setProblem(e);
    }
  };
  const create = attempt(() => datasets.create({ name }).then(again));
  const prepare = attempt(() => datasets.prepare(name, dataset.format || {}).then(again));
  const cancel = attempt(() => datasets.cancel(name).then(again));
  const remove = attempt(() => datasets.remove(name).then(() => go('/datasets')));
  const isOver = ['ready', 'failed', 'cancelled'].includes(dataset.state);
  return html`
    <div class="head">
      <div>
        <p class="crumbs"><a href="/datasets">Datasets</a></p>
        <h1>${name}</h1>
      </div>
      <${State} state=${dataset.state} />
      <${Live} status=${status} />
      <span class="grow"></span>
      <div class="actions">
        ${dataset.state === 'known' && html`<button class="primary" onClick=${create}>Fetch</button>`}
        ${(dataset.state === 'failed' || dataset.state === 'cancelled') && html`<button onClick=${prepare}>Try again</button>`}
        ${isBusy(dataset) && html`<${ConfirmButton} text="Cancel" confirm="Cancel it?" onConfirm=${cancel} />`}
        ${(isOver || dataset.state === 'uploading') && html`<${ConfirmButton} text="Delete" confirm="Delete it?" onConfirm=${remove} />`}
        ${dataset.state === 'ready' && html`<a class="button primary" href=${`/new?dataset=${encodeURIComponent(name)}`}>New job with this dataset</a>`}
      </div>
    </div>
    <${ErrorBox} error=${problem} />
  `;
}

function Facts({ dataset }) {
  const info = dataset.info || {};
  const image = info.image;
  const facts = [
    ['Kind', kindText(info.kind || dataset.kind)],
    ['Samples', dataset.samples && samplesText(dataset.samples)],
    ['Classes', dataset.classes && format.count(dataset.classes)],
    image && ['Picture', image.height > 0 ? `${image.width} × ${image.height}, ${image.channels === 1 ? 'grey' : 'colour'}` : 'of several sizes'],
    info.columns && ['Columns', format.count(info.columns.length)],
    info.x?.shape && ['One sample', format.shape(info.x.shape)],
    info.characters > 0 && ['Characters', format.count(info.characters)],
    info.words > 0 && ['Words', format.count(info.words)],
    ['Size', format.bytes(dataset.bytes)],
  ].filter((f) => f && f[1]);
  return html`
    <div class="facts">
      ${isBusy(dataset) && html`<${DatasetProgress} dataset=${dataset} />`}
      ${isBusy(dataset) && dataset.progress?.file && html`<p class="muted">${format.words(dataset.progress.phase)} ${dataset.progress.file}</p>`}
      <dl>${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
    </div>
  `;
}

function Contents({ dataset, again }) {
  const { summary } = dataset;
  if (isBusy(dataset)) return html`<p class="empty small">Its contents are shown here as soon as it is ready; this page follows by itself.</p>`;
  if (dataset.state === 'uploading') return html`<p class="empty small">Files are being uploaded. When all are here, it is prepared with <code>POST /datasets</code>, or from <a href=${`/add-dataset?name=${encodeURIComponent(dataset.name)}`}>this form</a>.</p>`;
  if (dataset.state === 'known') return html`<p class="empty small">It is not on this machine yet. Fetch it, or just name it in a job.</p>`;
  if (dataset.state === 'failed' && dataset.source?.upload) return html`<p class="empty small">Replace the file that is to blame <a href=${`/add-dataset?name=${encodeURIComponent(dataset.name)}`}>with this form</a>; the others stay. If only the format was wrong, correct that and try again.</p>`;
  if (!summary) return null;
  const notes = summary.notes || [];
  return html`
    ${notes.length > 0 && html`<ul class="notes-list">${notes.map((n) => html`<li>${n}</li>`)}</ul>`}
    ${(summary.columns || dataset.info?.columns)?.length > 0 && html`<${Columns} key=${dataset.updated} dataset=${dataset} again=${again} />`}
    ${summary.samples?.length > 0 && html`<h2>Samples</h2><${Samples} samples=${summary.samples} />`}
    ${summary.classes?.length > 0 && html`<${Balance} classes=${summary.classes} />`}
    ${summary.channels?.length > 0 && html`<${Channels} channels=${summary.channels} />`}
  `;
}

/* Pictures in a grid, texts as cards, rows as a table. */
function Samples({ samples }) {
  const rows = samples.filter((s) => s.row);
  if (rows.length > 0) return html`<${Rows} rows=${rows} />`;
  return html`
    <ul class=${samples.some((s) => s.image) ? 'samples' : 'samples texts'}>
      ${samples.map(
        (s) => html`
          <li>
            ${s.image && html`<img src=${`data:image/png;base64,${s.image.png}`} width=${s.image.width} height=${s.image.height} alt=${`Sample ${s.index}: ${s.label}`} />`}
            ${s.text !== undefined && html`<p>${s.text}</p>`}
            ${s.label !== undefined && html`<b class="plain">${s.label}</b>`}
            <small>${s.part} ${s.index}</small>
          </li>
        `,
      )}
    </ul>
  `;
}

function Rows({ rows }) {
  const names = [...new Set(rows.flatMap((s) => Object.keys(s.row)))];
  const isFigure = (n) => rows.some((s) => typeof s.row[n] === 'number');
  const cell = (v) => (v === null || v === undefined ? html`<i class="muted">missing</i>` : typeof v === 'number' ? format.value(v) : String(v));
  return html`
    <div class="scroll">
      <table class="dense cells">
        <thead><tr>${names.map((n) => html`<th class=${isFigure(n) ? 'num' : ''}>${n}</th>`)}</tr></thead>
        <tbody>${rows.map((s) => html`<tr>${names.map((n) => html`<td class=${isFigure(n) ? 'num' : ''} title=${s.row[n]}>${cell(s.row[n])}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
  `;
}

function Balance({ classes }) {
  const [all, setAll] = useState(false);
  const rows = balance(classes);
  const shown = all ? rows : rows.slice(0, CLASSES_FIRST);
  const ratio = imbalance(classes);
  const isEven = !(ratio > 1.05);
  return html`
    <h2>Class balance <small>${isEven ? 'all classes are about as large' : `the largest class is ${format.value(ratio)} times the smallest`}</small></h2>
    <ul class="balance">
      ${shown.map(
        (c) => html`
          <li>
            <span>${c.name}</span>
            <span class="balance-bar" title=${`${format.count(c.train)} train, ${format.count(c.test)} test`}>
              <i style=${{ width: `${c.trainShare * 100}%` }}></i><i class="test" style=${{ width: `${c.testShare * 100}%` }}></i>
            </span>
            <b>${format.count(c.train)}${c.test > 0 ? html` <small>+ ${format.count(c.test)}</small>` : ''}</b>
          </li>
        `,
      )}
    </ul>
    ${rows.some((c) => c.test > 0) && html`<p class="muted key"><i class="swatch train"></i> train <i class="swatch test"></i> test</p>`}
    ${rows.length > CLASSES_FIRST && !all && html`<p class="more"><button onClick=${() => setAll(true)}>Show all ${rows.length} classes</button></p>`}
  `;
}

const CHANNELS = { 1: ['grey'], 3: ['red', 'green', 'blue'] };

function Channels({ channels }) {
  return html`
    <h2>Statistics <small>of the training part, values from 0 to 1</small></h2>
    <div class="scroll fit">
      <table>
        <thead><tr><th>Channel</th><th class="num">Mean</th><th class="num">Deviation</th></tr></thead>
        <tbody>${channels.map((c, k) => html`<tr><th scope="row">${CHANNELS[channels.length]?.[k] ?? k}</th><td class="num">${format.value(c.mean)}</td><td class="num">${format.value(c.std)}</td></tr>`)}</tbody>
      </table>
    </div>
  `;
}

function About({ dataset, again }) {
  const source = dataset.source || {};
  const urls = source.urls || (source.url ? [source.url] : []);
  const rows = [
    ['Source', urls.length > 0 ? urls.map((u) => html`<div class="long">${u}</div>`) : source.folder ? html`<code>${source.folder}</code>` : source.upload ? 'uploaded' : source.known ? 'known by name' : null],
    ['Format', dataset.format && Object.keys(dataset.format).length > 0 ? html`<code>${JSON.stringify(dataset.format)}</code>` : null],
    ['Registered', dataset.created && html`<${Time} at=${dataset.created} />`],
    ['Changed', dataset.updated && html`<${Time} at=${dataset.updated} />`],
  ].filter(([, v]) => v);
  const job = startingJob(dataset);
  const line = `curl ${address('/jobs')} --json '${quoted(job)}'`;
  return html`
    <h2>About</h2>
    <dl class="about">${rows.map(([n, v]) => html`<dt>${n}</dt><dd>${v}</dd>`)}</dl>
    ${!dataset.known && ['ready', 'failed'].includes(dataset.state) && html`<${ReadAs} dataset=${dataset} again=${again} />`}
    <${Files} files=${dataset.files || []} />
    ${dataset.state === 'ready' && html`<h2>Use it</h2><${Shell} text=${line} />`}
    <h2>Look at it</h2>
    <${Shell} text=${`curl -s ${address(`/datasets/${encodeURIComponent(dataset.name)}`)}`} />
  `;
}

/* What the files are taken for, where that was guessed wrong.  Types of columns are of the format before, so they are not kept. */
function ReadAs({ dataset, again }) {
  const now = dataset.format?.type || 'auto';
  const [type, setType] = useState(now);
  const [problem, setProblem] = useState(null);
  const { columns: _, ...format } = dataset.format || {};
  const prepare = () => datasets.prepare(dataset.name, { ...format, type }).then(again).catch(setProblem);
  return html`
    <div class="inline-form read-as">
      <${Field} label="Read it as" pointer="/format" problem=${problem}>
        <select value=${type} onChange=${(e) => setType(e.target.value)}>${FORMATS.map(([name, text]) => html`<option value=${name}>${name}: ${text}</option>`)}</select>
      <//>
      <button disabled=${type === now} onClick=${prepare}>Read again</button>
    </div>
    <${OtherFaults} problem=${problem} pointers=${['/format']} />
  `;
}

function Files({ files }) {
  if (files.length === 0) return null;
  return html`
    <h2>Files</h2>
    <div class="scroll">
      <table class="dense">
        <thead><tr><th>Name</th><th class="num">Size</th><th>SHA-256</th><th>State</th></tr></thead>
        <tbody>
          ${files.map((f) => html`<tr><td class="long">${f.name}</td><td class="num">${format.bytes(f.bytes)}</td><td>${f.sha256 ? html`<code title=${f.sha256}>${f.sha256.slice(0, 12)}…</code>` : format.NOTHING}</td><td>${format.words(f.state) || format.NOTHING}</td></tr>`)}
        </tbody>
      </table>
    </div>
  `;
}
