// Runs that differ in nothing but their seeds, as one row each: mean, deviation and number.

import { html } from 'htm/preact';
import { jobs } from '../api.js';
import { text } from '../lib/diff.js';
import * as format from '../lib/format.js';
import { figureText, headOf, isHighBetter, seriesOf } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { number } from '../lib/smooth.js';
import { ErrorBox, useLoaded } from './parts.js';

const METRIC = 'test/accuracy'; // where the address names none
const COMPARE_MOST = 10;

export function Groups({ filters, items, metric }) {
  const series = seriesOf(items);
  const chosen = metric || (series.includes(METRIC) || series.length === 0 ? METRIC : series[0]);
  const { project, tag } = filters;
  const { data, error, again } = useLoaded(() => jobs.groups({ project, tag, metric: chosen }), `${project} ${tag} ${chosen}`);
  const groups = data?.items || data || [];
  const better = isHighBetter(chosen) ? -1 : 1;
  const rank = (g) => (Number.isFinite(number(g.mean)) ? better * number(g.mean) : Infinity);
  const rows = [...groups].sort((a, b) => rank(a) - rank(b));
  const figure = (v) => figureText(chosen, v);
  return html`
    <div class="controls">
      <label class="check">Metric <select value=${chosen} onChange=${(e) => setQuery({ metric: e.target.value })}>${[...new Set([chosen, ...series])].map((s) => html`<option value=${s}>${s}</option>`)}</select></label>
    </div>
    <${ErrorBox} error=${error} retry=${again} />
    ${data && rows.length === 0 && html`<p class="empty small">No job here has ${chosen} yet.</p>`}
    ${rows.length > 0 &&
    html`
      <div class="scroll">
        <table class="rows still">
          <thead><tr><th>Settings</th><th class="num">${headOf(chosen)}, mean ± deviation</th><th class="num">Least</th><th class="num">Most</th><th class="num">Runs</th><th>Jobs</th></tr></thead>
          <tbody>
            ${rows.map(
              (g) => html`
                <tr key=${g.jobs.join()}>
                  <td class="c-name"><${Settings} diff=${g.spec_diff} /></td>
                  <td class="num" data-label="Mean"><b>${figure(g.mean)}</b>${g.n > 1 && html` <small>± ${figure(g.std)}</small>`}</td>
                  <td class="num" data-label="Least">${figure(g.min)}</td>
                  <td class="num" data-label="Most">${figure(g.max)}</td>
                  <td class="num" data-label="Runs">${format.count(g.n)}</td>
                  <td data-label="Jobs">${g.jobs.length > 1 ? html`<a href=${`/compare?jobs=${g.jobs.slice(0, COMPARE_MOST).join(',')}`}>compare</a>` : html`<a href=${`/jobs/${g.jobs[0]}`}>open</a>`}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    `}
  `;
}

/* What makes this group other than the rest. */
function Settings({ diff }) {
  const rows = Object.entries(diff || {});
  if (rows.length === 0) return html`<span class="muted">as all others</span>`;
  return rows.map(([pointer, v]) => html`<span class="setting" title=${pointer}>${headOf(pointer)} <b>${typeof v === 'string' ? v : text(v)}</b></span>`);
}
