// All sweeps: what each looked for, how far it is, and the best that it found.

import { html, render } from 'htm/preact';
import { address, sweeps } from '../api.js';
import * as format from '../lib/format.js';
import { figureText } from '../lib/leaderboard.js';
import { go } from '../lib/route.js';
import { childrenOf } from '../lib/sweeps.js';
import { ErrorBox, Live, Shell, State, Time, useLive } from './parts.js';

export function title() {
  return 'Sweeps';
}

export function mount(el) {
  render(html`<${Sweeps} />`, el);
  return () => render(null, el);
}

function Sweeps() {
  const { data, error, status, again } = useLive(() => sweeps.list(), 'sweeps', (kind) => kind === 'state' || kind === 'deleted' || undefined);
  const items = data?.items || [];
  return html`
    <div class="head">
      <h1>Sweeps</h1>
      <${Live} status=${status} />
      <span class="grow"></span>
      <a class="button primary" href="/new-sweep">New sweep</a>
    </div>
    <${ErrorBox} error=${error} retry=${again} />
    ${data && items.length === 0 && html`<${Empty} />`}
    ${items.length > 0 && html`<${Table} items=${items} />`}
  `;
}

function Empty() {
  const document = `{"base": '"$(curl -s ${address('/examples/fashion-quick')})"', "space": {"/optimizer/lr": {"log_uniform": [1e-4, 1e-1]}}, "metric": "val/accuracy", "goal": "max", "strategy": "random", "max_jobs": 8}`;
  return html`
    <section class="empty">
      <h2>No sweep yet</h2>
      <p>A sweep runs one job many times with other settings and keeps the best. Make one here, or with curl:</p>
      <${Shell} text=${`curl ${address('/sweeps')} --json '${document}'`} />
      <p><a class="button primary" href="/new-sweep">New sweep</a></p>
    </section>
  `;
}

function Table({ items }) {
  const open = (event, s) => event.target.closest('a') || String(getSelection()) || go(`/sweeps/${s.id}`);
  return html`
    <div class="scroll">
      <table class="rows">
        <thead><tr><th>Sweep</th><th>State</th><th class="c-progress">Jobs</th><th>Strategy</th><th>Metric</th><th class="num">Best</th><th>Over</th><th>Created</th></tr></thead>
        <tbody>
          ${items.map((s) => {
            const { done, all } = childrenOf(s);
            return html`
              <tr key=${s.id} onClick=${(e) => open(e, s)}>
                <td class="c-name"><a class="name" href=${`/sweeps/${s.id}`}>${s.name || s.id}</a></td>
                <td class="c-state"><${State} state=${s.state} /></td>
                <td class="c-progress"><div class="progress"><progress max="1" value=${all ? done / all : 0} data-state=${s.state} aria-label="Jobs that ended"></progress><span>${done} / ${all}</span></div></td>
                <td data-label="Strategy">${s.strategy}</td>
                <td data-label="Metric">${s.metric} <small>${s.goal}</small></td>
                <td class="num" data-label="Best">${s.best ? figureText(s.metric, s.best.value) : format.NOTHING}</td>
                <td class="c-wide" data-label="Over">${Object.keys(s.space || {}).map((p) => html`<code class="tag">${p}</code>`)}</td>
                <td data-label="Created"><${Time} at=${s.created || s.created_at} /></td>
              </tr>
            `;
          })}
        </tbody>
      </table>
    </div>
  `;
}
