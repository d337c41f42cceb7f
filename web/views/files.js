// What a job leaves behind: weights, artifacts, and its curves as tables.

import { html } from 'htm/preact';
import { useState } from 'preact/hooks';
import { jobs, metricCsv } from '../api.js';
import * as format from '../lib/format.js';
import { ErrorBox, Time, saveAs, useLoaded } from './parts.js';

export function Files({ job, news, series }) {
  const { data, error, again } = useLoaded(
    () => Promise.all([jobs.checkpoints(job.id), jobs.artifacts(job.id)]).then(([c, a]) => ({ checkpoints: c.items, artifacts: a.items })),
    `${job.id} ${news}`,
  );
  return html`
    <${ErrorBox} error=${error} retry=${again} />
    <h2>Artifacts</h2>
    <${List} job=${job} items=${data?.artifacts} none="No artifacts yet: trained weights come with the end of the job." />
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
