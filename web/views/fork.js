// A new job from a checkpoint of this one: from where, and what is to be different.

import { html } from 'htm/preact';
import { useMemo, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import { leaves } from '../lib/diff.js';
import * as format from '../lib/format.js';
import { token } from '../lib/pointer.js';
import { go } from '../lib/route.js';
import { bestSeries } from '../lib/series.js';
import { literal } from '../lib/sweeps.js';
import { Field, OtherFaults, faultsAt } from './fields.js';
import { Dialog, useLoaded } from './parts.js';

export function Fork({ job, onClose }) {
  const checkpoints = useLoaded(() => jobs.checkpoints(job.id), job.id);
  const [from, setFrom] = useState('last');
  const [name, setName] = useState('');
  const [rows, setRows] = useState([{ pointer: '/optimizer/lr', text: '' }]);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const fields = useMemo(() => leaves(job.spec || {}), [job.spec]);
  const steps = (checkpoints.data?.items || []).map((c) => c.step).filter((s) => s >= 0);
  const change = (k, part) => setRows(rows.map((r, i) => (i === k ? { ...r, ...part } : r)));

  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    const set = Object.fromEntries(rows.filter((r) => r.pointer.trim() && r.text.trim()).map((r) => [r.pointer.trim(), literal(r.text)]));
    try {
      const made = await jobs.fork(job.id, { from, set, ...(name.trim() && { name: name.trim() }) });
      go(`/jobs/${made.id}`);
    } catch (e) {
      setProblem(e);
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title="Fork" onClose=${onClose}>
      <form class="form" onSubmit=${submit}>
        <p class="muted">A new job that goes on from a checkpoint of this one, as if it had been interrupted there.</p>
        <${Field} label="From" pointer="/from" problem=${problem}>
          <select value=${from} onChange=${(e) => setFrom(e.target.value)}>
            <option value="last">the last checkpoint</option>
            ${bestSeries(job.spec) && html`<option value="best">the best by ${bestSeries(job.spec)}</option>`}
            ${steps.map((s) => html`<option value=${`step:${s}`}>step ${format.count(s)}</option>`)}
          </select>
        <//>
        <fieldset class="space">
          <legend>Change</legend>
          <p class="muted">null takes a field away: a job of so many steps is given epochs by /train/steps null and /train/epochs 60.</p>
          ${rows.map((row, k) => {
            const now = fields.get(row.pointer.trim());
            const pointer = row.pointer.trim();
            const faults = pointer ? [...faultsAt(problem, `/set/${token(pointer)}`), ...faultsAt(problem, pointer)] : [];
            return html`
              <div class="space-row two" key=${k}>
                <input aria-label="Field, as a JSON pointer" list="fields" placeholder="/optimizer/lr" value=${row.pointer} onInput=${(e) => change(k, { pointer: e.target.value })} spellcheck=${false} />
                <input aria-label="New value" placeholder=${now === undefined ? 'value' : `is ${JSON.stringify(now)}`} value=${row.text} onInput=${(e) => change(k, { text: e.target.value })} aria-invalid=${faults.length > 0 ? 'true' : null} spellcheck=${false} />
                <button type="button" class="quiet" aria-label="Leave this field as it is" onClick=${() => setRows(rows.filter((_, i) => i !== k))}>✕</button>
                ${faults.map((f) => html`<em class="fault-text" role="alert">${f.detail}</em>`)}
              </div>
            `;
          })}
          <datalist id="fields">${[...fields.keys()].map((p) => html`<option value=${p}></option>`)}</datalist>
          <button type="button" onClick=${() => setRows([...rows, { pointer: '', text: '' }])}>Add a field</button>
        </fieldset>
        <${Field} label="Name" pointer="/name" problem=${problem} hint="empty: as this job"><input maxlength="200" value=${name} onInput=${(e) => setName(e.target.value)} /><//>
        <${OtherFaults} problem=${problem} pointers=${['/from', '/name', '/set', ...rows.map((r) => r.pointer.trim()).filter(Boolean)]} />
        <div class="actions"><button class="primary" disabled=${busy}>${busy ? 'Forking…' : 'Fork'}</button></div>
      </form>
    <//>
  `;
}
