// Weights that were kept by name, for other jobs to begin with and for other programs to load.

import { html, render } from 'htm/preact';
import { useState } from 'preact/hooks';
import { address, models } from '../api.js';
import * as format from '../lib/format.js';
import { ConfirmButton, ErrorBox, Shell, Time, useLoaded } from './parts.js';

const TENSORS_SHOWN = 200;

export function title() {
  return 'Models';
}

export function mount(el) {
  render(html`<${Models} />`, el);
  return () => render(null, el);
}

function Models() {
  const { data, error, again } = useLoaded(() => models.list(), 'models');
  const [problem, setProblem] = useState(null);
  const remove = async (name) => {
    try {
      await models.remove(name);
      setProblem(null);
    } catch (e) {
      setProblem(e);
    }
    again();
  };
  const items = data?.items || [];
  return html`
    <div class="head"><h1>Models</h1></div>
    <${ErrorBox} error=${error} retry=${again} />
    <${ErrorBox} error=${problem} />
    ${data && items.length === 0 && html`<${Empty} />`}
    ${items.length > 0 && html`<${List} items=${items} remove=${remove} />`}
    ${items.length > 0 && html`<p class="muted">A job begins with one by <code>"init_from": {"model": "${items[0].name}"}</code>.</p>`}
  `;
}

function Empty() {
  return html`
    <section class="empty">
      <h2>No model is kept yet</h2>
      <p>Choose "Keep as model" among a job's files, or send weights with curl:</p>
      <${Shell} text=${`curl -T model.safetensors ${address('/models/NAME')}`} />
      <p><a class="button" href="/">Jobs</a></p>
    </section>
  `;
}

function List({ items, remove }) {
  return html`
    <div class="scroll">
      <table class="rows still">
        <thead><tr><th>Model</th><th>Source</th><th class="num">Size</th><th>Tensors</th><th>SHA-256</th><th>Kept</th><th></th></tr></thead>
        <tbody>
          ${items.map(
            (m) => html`
              <tr key=${m.name}>
                <td class="c-name"><a class="name" href=${models.address(m.name)} download=${`${m.name}.safetensors`}>${m.name}</a></td>
                <td data-label="Source">${m.source?.job ? html`<a href=${`/jobs/${m.source.job}`}>job ${m.source.job.slice(-6)}</a> <small>${m.source.checkpoint}</small>` : 'uploaded'}</td>
                <td class="num" data-label="Size">${format.bytes(m.bytes)}</td>
                <td class="c-wide" data-label="Tensors"><${Tensors} name=${m.name} /></td>
                <td data-label="SHA-256">${m.sha256 ? html`<code title=${m.sha256}>${m.sha256.slice(0, 12)}…</code>` : format.NOTHING}</td>
                <td data-label="Kept"><${Time} at=${m.created || m.created_at} /></td>
                <td class="c-actions">
                  <div class="actions">
                    <a class="button" href=${models.address(m.name)} download=${`${m.name}.safetensors`}>Download</a>
                    <${ConfirmButton} text="Delete" confirm="Delete it?" onConfirm=${() => remove(m.name)} />
                  </div>
                </td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/* What is in the file: asked for when it is opened. */
function Tensors({ name }) {
  const [tensors, setTensors] = useState(null);
  const [problem, setProblem] = useState(null);
  const open = (e) => e.target.open && !tensors && models.get(name).then((m) => setTensors(m.tensors || []), setProblem);
  const parameters = (tensors || []).reduce((n, t) => n + (t.shape || []).reduce((a, b) => a * b, 1), 0);
  return html`
    <details onToggle=${open}>
      <summary>${tensors ? html`${tensors.length} <small>${format.short(parameters)} values</small>` : 'show'}</summary>
      <${ErrorBox} error=${problem} />
      <table class="dense">
        <tbody>${(tensors || []).slice(0, TENSORS_SHOWN).map((t) => html`<tr><td><code>${t.name}</code></td><td>${format.shape(t.shape)}</td><td>${t.dtype}</td></tr>`)}</tbody>
      </table>
      ${tensors?.length > TENSORS_SHOWN && html`<p class="muted">and ${tensors.length - TENSORS_SHOWN} more</p>`}
    </details>
  `;
}
