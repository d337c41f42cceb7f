// Runs that differ in nothing but their seeds, as one row each: mean, deviation and number.

import { html } from 'htm/preact';
import { jobs } from '../api.js';
import { text } from '../lib/diff.js';
import * as format from '../lib/format.js';
import { differences, figureText, headOf, isHighBetter, seriesOf } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { number } from '../lib/smooth.js';
import { ErrorBox, useLoaded } from './parts.js';

const METRIC = 'test/accuracy'; // where the address names none
const COMPARE_MOST = 10;
const SETTINGS_SHOWN = 6; // of a group, besides those that are asked for

export function Groups({ filters, items, metric }) {
  const series = seriesOf(items);
  const chosen = metric || (series.includes(METRIC) || series.length === 0 ? METRIC : series[0]);
  const { project, tag } = filters;
  const { data, error, again } = useLoaded(() => jobs.groups({ project, tag, metric: chosen }), `${project} ${tag} ${chosen}`);
  const groups = data?.items || data || [];
  const better = isHighBetter(chosen) ? -1 : 1;
  const rank = (g) => (Number.isFinite(number(g.mean)) ? better * number(g.mean) : Infinity);
  const rows = groups.filter((g) => g.n > 0).sort((a, b) => rank(a) - rank(b));
  const settings = differences(rows);
  const names = new Map(items.map((j) => [j.id, j.name]));
  const figure = (v) => figureText(chosen, v);
  return html`
    <div class="controls">
      <label class="check">Metric <select value=${chosen} onChange=${(e) => setQuery({ metric: e.target.value })}>${[...new Set([chosen, ...series])].map((s) => html`<option value=${s}>${s}</option>`)}</select></label>
    </div>
    <${ErrorBox} error=${error} retry=${again} />
    ${rows.length > 0 && rows.length < groups.length && html`<p class="muted">${groups.length - rows.length} other settings have no ${chosen} yet.</p>`}
    ${data && rows.length === 0 && html`<p class="empty small">No job here has ${chosen} yet.</p>`}
    ${rows.length > 0 &&
    html`
      <div class="scroll">
        <table class="rows still">
          <thead><tr><th>Settings</th><th class="num">${headOf(chosen)}, mean ± deviation</th><th class="num">Least</th><th class="num">Most</th><th class="num">Runs</th><th>Jobs</th></tr></thead>
          <tbody>
            ${rows.map(
              (g, k) => html`
                <tr key=${g.jobs.join()}>
                  <td class="c-name">${names.get(g.jobs[0]) && html`<b>${names.get(g.jobs[0])}</b> `}<${Settings} list=${settings[k]} /></td>
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

/* What makes a group other than the rest: a few settings, the others when they are asked for. */
function Settings({ list }) {
  const setting = ({ pointer, value }) => html`<span class="setting" title=${pointer}>${headOf(pointer)} <b>${typeof value === 'string' ? value : text(value)}</b></span>`;
  const rest = list.slice(SETTINGS_SHOWN);
  return html`
    ${list.slice(0, SETTINGS_SHOWN).map(setting)}
    ${rest.length > 0 && html`<details><summary>and ${rest.length} more</summary>${rest.map(setting)}</details>`}
  `;
}
