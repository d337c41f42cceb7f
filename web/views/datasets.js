// All data sets: those that are here, with how far the others are on their way, and the known ones that are a press away.

import { html, render } from 'htm/preact';
import { useState } from 'preact/hooks';
import { address, datasets } from '../api.js';
import { fractionOf, isBusy, kindText } from '../lib/datasets.js';
import * as format from '../lib/format.js';
import { go } from '../lib/route.js';
import { ErrorBox, Live, Shell, State, Time, useLive } from './parts.js';

export function title() {
  return 'Datasets';
}

export function mount(el) {
  render(html`<${Datasets} />`, el);
  return () => render(null, el);
}

/* What an event of a data set means for the list: its progress is taken as it is, another state is looked up. */
function datasetNews(kind, event) {
  if (kind !== 'dataset') return undefined;
  return (data) => ({ ...data, items: data.items.map((d) => (d.name === event.name ? { ...d, ...event } : d)) });
}

function Datasets() {
  const states = {};
  const { data, error, status, again } = useLive(() => datasets.list(), 'datasets', (kind, event) => {
    if (kind === 'dataset' && states[event.name] !== event.state) return true;
    return datasetNews(kind, event);
  });
  const items = data?.items || [];
  for (const d of items) states[d.name] = d.state;
  const here = items.filter((d) => d.state !== 'known');
  const known = items.filter((d) => d.state === 'known');
  return html`
    <div class="head">
      <h1>Datasets</h1>
      <${Live} status=${status} />
      <span class="grow"></span>
      <a class="button primary" href="/add-dataset">Add dataset</a>
    </div>
    <${ErrorBox} error=${error} retry=${again} />
    ${data && here.length === 0 && html`<${Empty} known=${known} />`}
    ${here.length > 0 && html`<${Table} items=${here} />`}
    ${known.length > 0 && html`<h2>Known by name <small>fetched and checked by one press, or by the first job that names them</small></h2><${Known} items=${known} again=${again} />`}
  `;
}

function Empty({ known }) {
  const text = `curl --json '{"name": "iris", "url": "https://example.org/iris.csv"}' ${address('/datasets')}`;
  return html`
    <section class="empty">
      <h2>No dataset is here yet</h2>
      <p>${known.length > 0 ? 'Fetch a known one below, bring your own, or register one with curl:' : 'Bring your own, or register one with curl:'}</p>
      <${Shell} text=${text} />
      <p><a class="button primary" href="/add-dataset">Add dataset</a></p>
    </section>
  `;
}

export function samplesText(samples) {
  const parts = Object.entries(samples || {}).filter(([, n]) => n > 0);
  return parts.length ? parts.map(([part, n]) => `${format.count(n)} ${part}`).join(', ') : format.NOTHING;
}

/* How far fetching or preparing is; nothing where it is over. */
export function DatasetProgress({ dataset }) {
  const fraction = fractionOf(dataset);
  const p = dataset.progress;
  const text = p ? `${format.bytes(p.done)}${p.total > 0 ? ` of ${format.bytes(p.total)}` : ''}` : '';
  return html`
    <div class="progress" title=${[p?.phase, p?.file, text].filter(Boolean).join(' · ')}>
      <progress max="1" value=${Number.isFinite(fraction) ? fraction : 0} data-state="running" aria-label="Progress"></progress>
      <span>${Number.isFinite(fraction) ? format.progress(fraction) : text || format.NOTHING}</span>
    </div>
  `;
}

function Table({ items }) {
  const open = (event, d) => event.target.closest('a') || String(getSelection()) || go(`/datasets/${encodeURIComponent(d.name)}`);
  return html`
    <div class="scroll">
      <table class="rows">
        <thead><tr><th>Dataset</th><th>State</th><th class="c-progress">Progress</th><th>Kind</th><th class="num">Samples</th><th class="num">Classes</th><th class="num">Size</th><th>Changed</th></tr></thead>
        <tbody>
          ${items.map(
            (d) => html`
              <tr key=${d.name} onClick=${(e) => open(e, d)}>
                <td class="c-name"><a class="name" href=${`/datasets/${encodeURIComponent(d.name)}`}>${d.name}</a></td>
                <td class="c-state"><${State} state=${d.state} /></td>
                <td class="c-progress">${isBusy(d) ? html`<${DatasetProgress} dataset=${d} />` : d.error && html`<span class="muted">${d.error.detail}</span>`}</td>
                <td data-label="Kind">${kindText(d.kind) || format.NOTHING}</td>
                <td class="num" data-label="Samples">${samplesText(d.samples)}</td>
                <td class="num" data-label="Classes">${format.count(d.classes)}</td>
                <td class="num" data-label="Size">${format.bytes(d.bytes)}</td>
                <td data-label="Changed"><${Time} at=${d.updated || d.created} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function Known({ items, again }) {
  const [problem, setProblem] = useState(null);
  const fetchIt = async (name) => {
    try {
      setProblem(null);
      await datasets.create({ name });
      await again();
    } catch (e) {
      setProblem(e);
    }
  };
  return html`
    <${ErrorBox} error=${problem} />
    <ul class="cards">
      ${items.map(
        (d) => html`
          <li class="card">
            <div><b>${d.name}</b><small>${[kindText(d.kind), d.bytes > 0 && format.bytes(d.bytes), d.classes && `${d.classes} classes`].filter(Boolean).join(', ')}</small></div>
            <button onClick=${() => fetchIt(d.name)} aria-label=${`Fetch ${d.name}`}>Fetch</button>
          </li>
        `,
      )}
    </ul>
  `;
}
