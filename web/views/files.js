// What a job leaves behind: weights, artifacts, and its curves as tables.

import { html } from 'htm/preact';
import { useState } from 'preact/hooks';
import { address, jobs, metricCsv, models } from '../api.js';
import { nameFrom } from '../lib/datasets.js';
import * as format from '../lib/format.js';
import { bestSeries } from '../lib/series.js';
import { Field, OtherFaults } from './fields.js';
import { ErrorBox, Shell, Time, saveAs, useLoaded } from './parts.js';

export function Files({ job, news, series }) {
  const { data, error, again } = useLoaded(
    () => Promise.all([jobs.checkpoints(job.id), jobs.artifacts(job.id)]).then(([c, a]) => ({ checkpoints: c.items, artifacts: a.items })),
    `${job.id} ${news}`,
  );
  return html`
    <${ErrorBox} error=${error} retry=${again} />
    <h2>Artifacts</h2>
    <${List} job=${job} items=${data?.artifacts} none="No artifacts yet: trained weights come with the end of the job." />
    ${data?.checkpoints.length > 0 && html`<${Keep} job=${job} />`}
    ${data?.artifacts.length > 0 && html`<${AsPython} job=${job} />`}
    <h2>Checkpoints</h2>
    <${List} job=${job} items=${data?.checkpoints} none="No checkpoint is kept." />
    <h2>Metrics as CSV</h2>
    <${Csv} job=${job} series=${series} />
  `;
}

function List({ job, items, none }) {
  if (!items) return null;
  if (items.length === 0) return html`<p class="muted">${none}</p>`;
  return html`
    <div class="scroll">
      <table>
        <thead><tr><th>Name</th><th>Kind</th><th class="num">Size</th><th>SHA-256</th><th>Made</th></tr></thead>
        <tbody>
          ${items.map(
            (f) => html`
              <tr>
                <td><a href=${f.links?.content || f.links?.self || jobs.artifactAddress(job.id, f.name)} download=${f.name}>${f.name}</a></td>
                <td>${f.step >= 0 ? `${f.kind}, step ${format.count(f.step)}` : f.media_type || f.kind}</td>
                <td class="num">${format.bytes(f.bytes ?? f.n_bytes)}</td>
                <td><code title=${f.sha256}>${f.sha256?.slice(0, 12)}…</code></td>
                <td><${Time} at=${f.created_at || f.time} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/* The weights under a name of their own: they stay when the job goes. */
function Keep({ job }) {
  const [values, setValues] = useState({ name: nameFrom(job.name), checkpoint: 'best' });
  const [sent, setSent] = useState({ problem: null, kept: '' });
  const hasBest = bestSeries(job.spec) !== '';
  const keep = async (event) => {
    event.preventDefault();
    try {
      await models.keep(values.name, job.id, hasBest ? values.checkpoint : 'last');
      setSent({ problem: null, kept: values.name });
    } catch (problem) {
      setSent({ problem, kept: '' });
    }
  };
  return html`
    <h2>Keep as model <small>under a name, for other jobs to begin with; it stays when this job goes</small></h2>
    <form class="inline-form" onSubmit=${keep}>
      <${Field} label="Name" pointer="/name" problem=${sent.problem}><input required maxlength="64" value=${values.name} onInput=${(e) => setValues({ ...values, name: e.target.value })} spellcheck=${false} /><//>
      ${hasBest &&
      html`<${Field} label="Weights" pointer="/checkpoint" problem=${sent.problem}>
        <select value=${values.checkpoint} onChange=${(e) => setValues({ ...values, checkpoint: e.target.value })}><option value="best">the best</option><option value="last">the last</option></select>
      <//>`}
      <button>Keep</button>
    </form>
    <${OtherFaults} problem=${sent.problem} pointers=${['/name', '/checkpoint']} />
    ${sent.kept && html`<p role="status">Kept as <a href="/models">${sent.kept}</a>.</p>`}
  `;
}

/* The model for PyTorch: a module of its own file that loads these weights. */
function AsPython({ job }) {
  const page = `/jobs/${encodeURIComponent(job.id)}`;
  return html`
    <h2>In PyTorch</h2>
    <p><a class="button" href=${jobs.pytorchAddress(job.id)} download="pytorch.py">pytorch.py</a></p>
    <${Shell} text=${`curl -O ${address(`${page}/pytorch.py`)} -O ${address(`${page}/artifacts/model.safetensors`)}`} />
  `;
}

function Csv({ job, series }) {
  const [error, setError] = useState(null);
  const save = async (name) => {
    try {
      saveAs(`${job.name || job.id}-${name.replaceAll('/', '-')}.csv`, await metricCsv(job.id, name));
      setError(null);
    } catch (e) {
      setError(e);
    }
  };
  return html`
    <p class="muted">Every recorded point, in full resolution.</p>
    <${ErrorBox} error=${error} />
    <div class="actions left">${[...series].sort().map((name) => html`<button onClick=${() => save(name)}>${name}</button>`)}</div>
  `;
}
