// Several jobs side by side: one chart for each series with a curve of every job, what came out, and where their specs differ.

import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { compareMetric, follow, jobs } from '../api.js';
import { colourOf } from '../charts.js';
import { compare, layerText, text } from '../lib/diff.js';
import * as format from '../lib/format.js';
import { figureText, isHighBetter } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { charts, parts } from '../lib/series.js';
import { append, columns, earliest, number, rewind } from '../lib/smooth.js';
import { Chart, Controls, LIVE_MOST, MAX_POINTS, viewOf } from './curves.js';
import { Check, ErrorBox, State, atMostEvery, isTerminal } from './parts.js';

const SERIES_MOST = 24; // charts on the page
const LAYERS = '/model/layers'; // has rows of its own
const NOT_COMPARED = ['/name', '/project', '/notes', '/tags', LAYERS]; // what a job is called is no part of what it does

const NOT_RESULTS = /^train\/(lr|grad_norm|.*_per_second)/; // how the run went is in the charts

export function title() {
  return 'Compare';
}

export function mount(el, params) {
  const ids = (params.query.get('jobs') || '').split(',').filter(Boolean);
  render(html`<${Compare} key=${ids.join(',')} ids=${ids} query=${params.query} />`, el);
  return () => render(null, el);
}

/* The jobs and, by name of series and then by job, their columns. */
function useComparison(ids) {
  const [list, setList] = useState(null);
  const [error, setError] = useState(null);
  const [version, setVersion] = useState(0);
  const series = useRef(new Map());

  const load = async () => {
    try {
      const loaded = await Promise.all(ids.map((id) => jobs.get(id)));
      setList(loaded);
      const names = [...new Set((await Promise.all(ids.map((id) => jobs.series(id)))).flatMap((s) => s.items.map((i) => i.name)))];
      const wanted = names.filter((n) => !n.startsWith('system/')).slice(0, SERIES_MOST);
      await Promise.all(
        wanted.map(async (name) => {
          const answer = await compareMetric(ids, name, { max_points: MAX_POINTS });
          series.current.set(name, new Map(answer.items.map((s) => [s.job, columns(s)])));
        }),
      );
      setVersion((v) => v + 1);
      setError(null);
    } catch (e) {
      setError(e);
    }
  };

  useEffect(() => {
    const draw = atMostEvery(150, () => setVersion((v) => v + 1));
    const again = atMostEvery(1000, load);
    const end = follow(null, {
      resync: again,
      event(kind, data) {
        if (!ids.includes(data.job)) return;
        if (kind === 'state') again();
        if (kind === 'rewind') {
          for (const byJob of series.current.values()) if (byJob.has(data.job)) rewind(byJob.get(data.job), data.step);
          again();
        }
        const list_ = kind === 'metrics' && series.current.get(data.series)?.get(data.job);
        if (kind === 'metrics' && !list_) again();
        if (list_ && append(list_, data.points || []) > 0) (list_.step.length > LIVE_MOST ? again : draw)();
      },
    });
    load();
    return () => {
      end();
      draw.cancel();
      again.cancel();
    };
  }, []);
  return { list, error, version, series: series.current, load };
}

function Compare({ ids, query }) {
  const { list, error, version, series, load } = useComparison(ids);
  if (ids.length === 0) return html`<section class="empty"><h1>Nothing to compare</h1><p>Choose jobs in <a href="/">the list</a>.</p></section>`;
  if (!list) return html`<h1>Compare</h1><${ErrorBox} error=${error} retry=${load} />`;
  const view = viewOf(query);
  const names = charts([...series.keys()]).flatMap((g) => g.series);
  const origins = list.map((job) => earliest([...series.values()].map((byJob) => byJob.get(job.id)).filter(Boolean)));
  const curves = (byJob) =>
    list
      .map((job, k) => ({ label: labelOf(job, list), colour: k, columns: byJob.get(job.id), origin: origins[k] }))
      .filter((c) => c.columns?.step.length);
  const detail = (name) => async (from, to) => {
    const answer = await compareMetric(ids, name, { from, to, max_points: MAX_POINTS });
    return curves(new Map(answer.items.map((s) => [s.job, columns(s)])));
  };
  return html`
    <div class="head"><h1>Compare ${list.length} jobs</h1></div>
    <${ErrorBox} error=${error} retry=${load} />
    <div class="with-aside wide">
      <div>
        <${Controls} view=${view} />
        <div class="charts">
          ${names.map((name) => {
            const shown = curves(series.get(name));
            return shown.length > 0 && shown.some((c) => c.columns.step.length > 1) && html`<${Chart} key=${name} title=${name} curves=${shown} view=${view} version=${version} detail=${detail(name)} />`;
          })}
        </div>
      </div>
      <aside>
        <${Table} list=${list} all=${query.get('all') === '1'} />
      </aside>
    </div>
  `;
}

/* Names, made different by the id's end where they are the same. */
function labelOf(job, list) {
  const name = job.name || job.id;
  return list.filter((j) => j.name === job.name).length > 1 ? `${name} ${job.id.slice(-4)}` : name;
}

function Table({ list, all }) {
  const specs = compare(list.map((j) => j.spec)).filter((r) => !NOT_COMPARED.includes(r.pointer));
  const rows = all ? specs : specs.filter((r) => r.differs);
  const models = list.map((j) => (Array.isArray(j.spec?.model?.layers) ? j.spec.model.layers : []));
  const likeFirst = models.every((m) => text(m) === text(models[0]));
  const depth = all || !likeFirst ? Math.max(...models.map((m) => m.length)) : 0;
  const results = [...new Set(list.flatMap((j) => Object.keys(j.summary || {})))].filter((n) => parts(n).split && !NOT_RESULTS.test(n));
  return html`
    <div class="scroll">
      <table class="compare">
        <thead>
          <tr>
            <th></th>
            ${list.map((j, k) => html`<th><a href=${`/jobs/${j.id}`}><i class="swatch" style=${{ background: colourOf(k) }}></i>${labelOf(j, list)}</a></th>`)}
          </tr>
        </thead>
        <tbody>
          <tr><th>state</th>${list.map((j) => html`<td><${State} state=${j.state} /></td>`)}</tr>
          ${charts(results).flatMap((g) => g.series).map((name) => html`<${Result} name=${name} list=${list} />`)}
          <tr><th>running time</th>${list.map((j) => html`<td>${isTerminal(j.state) ? format.duration((format.millis(j.finished_at) - format.millis(j.started_at)) / 1000) : format.NOTHING}</td>`)}</tr>
        </tbody>
        <tbody>
          <tr class="part"><th colspan=${list.length + 1}>Spec${rows.length === 0 && likeFirst ? ': the same in all' : ''}</th></tr>
          ${rows.map((r) => html`<tr class=${all && r.differs ? 'differs' : ''}><th><code>${r.pointer}</code></th>${r.values.map((v) => html`<td>${v === undefined ? html`<i class="muted">absent</i>` : html`<code>${text(v)}</code>`}</td>`)}</tr>`)}
        </tbody>
        ${depth > 0 &&
        html`<tbody>
          <tr class="part"><th colspan=${list.length + 1}>Layers${likeFirst ? ': the same in all' : ''}</th></tr>
          ${Array.from({ length: depth }, (_, k) => html`<${LayerRow} key=${k} index=${k} layers=${models.map((m) => m[k])} />`)}
        </tbody>`}
      </table>
    </div>
    <${Check} label="show fields that are the same, too" checked=${all} onChange=${(on) => setQuery({ all: on ? 1 : '' })} />
  `;
}

/* One layer of every model; options that say little are shown when it is opened, or when nothing else differs. */
function LayerRow({ index, layers }) {
  const cells = layers.map((l) => (l === undefined ? null : layerText(l)));
  const differs = layers.some((l) => text(l) !== text(layers[0]));
  const onlyRest = differs && cells.every((c) => c && c.head === cells[0]?.head);
  const cell = (c) => {
    if (!c) return html`<i class="muted">absent</i>`;
    if (Object.keys(c.rest).length === 0) return c.head;
    return html`<details open=${onlyRest}><summary>${c.head}</summary><code>${text(c.rest)}</code></details>`;
  };
  return html`<tr class=${differs ? 'differs' : ''}><th>${index}</th>${cells.map((c) => html`<td>${cell(c)}</td>`)}</tr>`;
}

function Result({ name, list }) {
  const values = list.map((j) => (name in (j.summary || {}) ? number(j.summary[name]) : undefined));
  const finite = values.filter(Number.isFinite);
  const differ = Math.min(...finite) < Math.max(...finite);
  const best = differ ? (isHighBetter(name) ? Math.max(...finite) : Math.min(...finite)) : NaN;
  return html`<tr><th>${name}</th>${values.map((v) => html`<td class=${v === best ? 'best' : ''}>${figureText(name, v)}</td>`)}</tr>`;
}
