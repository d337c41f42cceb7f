// The columns of a table as they were understood, and the way to put a type right.

import { html } from 'htm/preact';
import { useState } from 'preact/hooks';
import { datasets } from '../api.js';
import { COLUMN_TYPES, corrected } from '../lib/datasets.js';
import * as format from '../lib/format.js';
import { ErrorBox } from './parts.js';
import { Bars } from './plots.js';

const VALUES_SHOWN = 4; // of a category, the most frequent

export function Columns({ dataset, again }) {
  const [changes, setChanges] = useState({});
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const details = new Map((dataset.summary?.columns || []).map((c) => [c.name, c]));
  const columns = (dataset.info?.columns || dataset.summary?.columns).map((c) => ({ ...details.get(c.name), ...c }));
  const n = Object.keys(changes).length;

  const choose = (column) => (e) => {
    const { [column.name]: _, ...others } = changes;
    setChanges(e.target.value === column.type ? others : { ...others, [column.name]: e.target.value });
  };
  const prepare = async () => {
    setBusy(true);
    try {
      setProblem(null);
      await datasets.prepare(dataset.name, corrected(dataset.format, changes));
      await again();
    } catch (e) {
      setProblem(e);
    }
    setBusy(false);
  };
  return html`
    <div class="head small">
      <h2>Columns <small>types were inferred; put right what is wrong</small></h2>
      <span class="grow"></span>
      <button class="primary" disabled=${n === 0 || busy} onClick=${prepare}>${n === 0 ? 'Prepare again' : `Prepare again with ${n === 1 ? 'one correction' : `${n} corrections`}`}</button>
    </div>
    <${ErrorBox} error=${problem} />
    <div class="scroll">
      <table class="dense columns">
        <thead><tr><th>Column</th><th>Type</th><th class="num">Missing</th><th>Values</th><th class="c-bars">Distribution</th></tr></thead>
        <tbody>
          ${columns.map(
            (c) => html`
              <tr key=${c.name} class=${c.name in changes ? 'picked' : ''}>
                <th scope="row">${c.name}</th>
                <td>
                  <select aria-label=${`Type of ${c.name}`} value=${changes[c.name] ?? c.type} onChange=${choose(c)}>
                    ${COLUMN_TYPES.map((t) => html`<option value=${t}>${t}</option>`)}
                  </select>
                </td>
                <td class="num">${c.missing > 0 ? format.count(c.missing) : '0'}</td>
                <td><${Values} column=${c} /></td>
                <td class="c-bars">${c.histogram?.counts?.length > 0 ? html`<${Bars} counts=${c.histogram.counts} edges=${c.histogram.edges} label=${`Distribution of ${c.name}`} />` : html`<${Shares} values=${c.values} />`}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function Values({ column }) {
  if (column.type === 'number' && Number.isFinite(column.mean)) {
    return html`${format.value(column.min)} … ${format.value(column.max)} <small>mean ${format.value(column.mean)} ± ${format.value(column.std)}</small>`;
  }
  if (column.type !== 'category') return html`<span class="muted">${column.type === 'ignored' ? 'not used' : format.NOTHING}</span>`;
  const names = column.values?.map((v) => v.value) || column.categories || [];
  const more = (column.categories?.length ?? names.length) - Math.min(names.length, VALUES_SHOWN);
  return html`${names.slice(0, VALUES_SHOWN).map(String).join(', ')}${more > 0 ? html` <small>and ${more} more</small>` : ''}`;
}

/* Categories as one bar, cut by their shares. */
function Shares({ values }) {
  if (!values?.length) return null;
  const sum = values.reduce((n, v) => n + v.count, 0) || 1;
  return html`<span class="shares" role="img" aria-label="Shares of the values">${values.map((v, k) => html`<i data-k=${k % 2} style=${{ width: `${(v.count / sum) * 100}%` }} title=${`${v.value}: ${format.count(v.count)}`}></i>`)}</span>`;
}
