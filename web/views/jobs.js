// All jobs, as a leaderboard: a live table with columns of the reader's choice, sorted, filtered, and grouped by all but the seed;
// it leads to one job, or to a comparison of several.  All of that is in the address.

import { html, render } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { address, follow, jobs } from '../api.js';
import * as format from '../lib/format.js';
import { OWN, cellText, columnsOf, headOf, sortsOf } from '../lib/leaderboard.js';
import { go, setQuery } from '../lib/route.js';
import { ColumnChoice } from './columnchoice.js';
import { Groups } from './groups.js';
import { Check, ErrorBox, Live, Progress, Shell, State, Time, atMostEvery, etaOf, runtimeOf, saveAs } from './parts.js';

const PAGE = 50; // jobs at a time
const REFRESH_MS = 400; // between two looks at the list, however many events come
const TYPING_MS = 250;
const COMPARE_MOST = 10; // as many as there are colours

const STATES = ['preparing', 'queued', 'starting', 'running', 'pausing', 'paused', 'cancelling', 'interrupted', 'succeeded', 'failed', 'cancelled', 'timed_out'];

/* What stands in the columns of the job itself. */
const CELLS = {
  progress: (job) => html`<${Progress} job=${job} />`,
  eta: (job) => format.duration(etaOf(job)),
  time: (job) => format.duration(runtimeOf(job)),
  created_at: (job) => html`<${Time} at=${job.created_at} />`,
  owner: (job) => job.owner || format.NOTHING,
  project: (job) => job.project || format.NOTHING,
};

function cell(job, column) {
  return CELLS[column] ? CELLS[column](job) : cellText(job, column);
}

function classOf(column) {
  return OWN[column] ? `c-${column}${['eta', 'time'].includes(column) ? ' num' : ''}` : 'c-figure num';
}

export function title() {
  return 'Jobs';
}

export function mount(el, params) {
  render(html`<${Jobs} query=${params.query} />`, el);
  return () => render(null, el);
}

const FILTERS = ['state', 'project', 'q', 'sort', 'owner', 'tag', 'sweep'];

function filtersOf(query) {
  const filters = {};
  for (const name of FILTERS) if (query.get(name)) filters[name] = query.get(name);
  return filters;
}

/* What the server is asked for: places of the spec come only when they are named. */
function requestOf(filters, columns) {
  return { ...filters, columns: columns.filter((c) => c.startsWith('/')).join(',') };
}

/* The list for FILTERS, kept up by events: {items, has_more, error, status, more()}. */
function useJobs(filters) {
  const key = JSON.stringify(filters);
  const [list, setList] = useState({ items: null, has_more: false, next: null });
  const [error, setError] = useState(null);
  const [status, setStatus] = useState('');
  const shown = useRef(PAGE);

  const load = async () => {
    try {
      const answer = await jobs.list({ ...filters, limit: shown.current });
      setList(answer);
      setError(null);
    } catch (e) {
      setError(e);
    }
  };
  const latest = useRef(load);
  latest.current = load;

  useEffect(() => {
    shown.current = PAGE;
    load();
  }, [key]);

  useEffect(() => {
    const refresh = atMostEvery(REFRESH_MS, () => latest.current());
    let pending = new Map();
    const apply = atMostEvery(200, () => {
      const changes = pending;
      pending = new Map();
      setList((l) => l.items && { ...l, items: l.items.map((j) => (changes.has(j.id) ? merged(j, changes.get(j.id)) : j)) });
    });
    const end = follow(null, {
      status: setStatus,
      resync: refresh,
      event(kind, data) {
        if (kind === 'state' || kind === 'job' || kind === 'deleted') return refresh();
        if (kind !== 'progress' && kind !== 'metrics') return;
        const change = pending.get(data.job) || { progress: null, summary: {} };
        if (kind === 'progress') change.progress = data;
        else if (data.points?.length) change.summary[data.series] = data.points[data.points.length - 1][2];
        pending.set(data.job, change);
        apply();
      },
    });
    return () => {
      end();
      refresh.cancel();
      apply.cancel();
    };
  }, []);

  const more = () => {
    shown.current += PAGE;
    return load();
  };
  return { ...list, error, status, more, again: load };
}

function merged(job, change) {
  const progress = change.progress ? { ...job.progress, fraction: undefined, eta_s: undefined, ...change.progress } : job.progress;
  return { ...job, progress, summary: { ...job.summary, ...change.summary } };
}

function Jobs({ query }) {
  const filters = filtersOf(query);
  const columns = columnsOf(query.get('columns'));
  const isGrouped = query.get('groups') === '1';
  const { items, has_more, error, status, more, again } = useJobs(requestOf(filters, columns));
  const [selected, setSelected] = useState(() => new Set());
  const projects = useMemo(() => [...new Set((items || []).map((j) => j.project).filter(Boolean))].sort(), [items]);

  const toggle = (job) =>
    setSelected((s) => {
      const next = new Set(s);
      if (!next.delete(job) && next.size < COMPARE_MOST) next.add(job);
      return next;
    });
  const filtered = Object.keys(filters).some((name) => name !== 'sort');

  return html`
    <div class="head">
      <h1>Jobs</h1>
      <${Live} status=${status} />
      <span class="grow"></span>
      <a class="button primary" href="/new">New job</a>
    </div>
    <${Filters} filters=${filters} projects=${projects} />
    ${(items?.length > 0 || isGrouped) &&
    html`<div class="controls">
      ${!isGrouped && html`<${ColumnChoice} columns=${columns} items=${items || []} />`}
      <${Check} label="group runs that differ in the seed alone" checked=${isGrouped} onChange=${(on) => setQuery({ groups: on ? 1 : '' })} />
      <span class="grow"></span>
      <${Csv} request=${{ ...filters, columns: columns.filter((c) => !OWN[c]).join(',') }} />
    </div>`}
    <${ErrorBox} error=${error} retry=${again} />
    ${isGrouped && html`<${Groups} filters=${filters} items=${items || []} metric=${query.get('metric')} />`}
    ${!isGrouped && items && items.length === 0 && html`<${Empty} filtered=${filtered} />`}
    ${!isGrouped && items && items.length > 0 && html`<${Table} items=${items} columns=${columns} sort=${filters.sort || '-created_at'} selected=${selected} toggle=${toggle} />`}
    ${!isGrouped && has_more && html`<p class="more"><button onClick=${more}>Show more</button></p>`}
    <${Selection} selected=${selected} clear=${() => setSelected(new Set())} />
  `;
}

/* The table as a file for other programs. */
function Csv({ request }) {
  const [problem, setProblem] = useState(null);
  const save = () =>
    jobs.csv(request).then(
      (blob) => saveAs('jobs.csv', blob),
      (e) => setProblem(e),
    );
  const line = `curl -s -H 'Accept: text/csv' '${address('/jobs')}?${new URLSearchParams(Object.entries(request).filter(([, v]) => v))}'`;
  return html`<button onClick=${save} title=${line}>CSV</button><${ErrorBox} error=${problem} />`;
}

function Filters({ filters, projects }) {
  const timer = useRef(0);
  const type = (name) => (e) => {
    const text = e.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ [name]: text.trim() }), TYPING_MS);
  };
  return html`
    <form class="filters" role="search" onSubmit=${(e) => e.preventDefault()}>
      <input type="search" placeholder="Search names, notes, ids" aria-label="Search" value=${filters.q || ''} onInput=${type('q')} />
      <select aria-label="State" value=${filters.state || ''} onChange=${(e) => setQuery({ state: e.target.value })}>
        <option value="">Any state</option>
        ${STATES.map((s) => html`<option value=${s}>${format.words(s)}</option>`)}
      </select>
      <input list="projects" placeholder="Any project" aria-label="Project" value=${filters.project || ''} onInput=${type('project')} />
      <datalist id="projects">${projects.map((p) => html`<option value=${p}></option>`)}</datalist>
      ${['tag', 'sweep', 'owner'].filter((n) => filters[n]).map((n) => html`<button type="button" class="tag-filter" onClick=${() => setQuery({ [n]: '' })} aria-label=${`Drop the filter ${n}`}>${n} ${n === 'sweep' ? filters[n].slice(-6) : filters[n]} ✕</button>`)}
      ${Object.keys(filters).length > 0 && html`<button type="button" class="quiet" onClick=${() => go('/')}>Clear</button>`}
    </form>
  `;
}

function Table({ items, columns, sort, selected, toggle }) {
  return html`
    <div class="scroll">
      <table class="rows jobs">
        <thead>
          <tr>
            <th class="c-pick"><span class="hidden">Choose</span></th>
            <${Heading} column="name" name="Job" sorts=${['name', '-name']} class="c-name" sort=${sort} />
            <${Heading} column="state" name="State" sorts=${['state', '-state']} class="c-state" sort=${sort} />
            ${columns.map((c) => html`<${Heading} key=${c} column=${c} name=${headOf(c)} sorts=${sortsOf(c)} class=${classOf(c)} sort=${sort} />`)}
          </tr>
        </thead>
        <tbody>
          ${items.map(
            (job) => html`
              <tr key=${job.id} class=${selected.has(job.id) ? 'picked' : ''} onClick=${(e) => openRow(e, job)}>
                <td class="c-pick">
                  <input type="checkbox" aria-label=${`Choose ${job.name || job.id} to compare`} checked=${selected.has(job.id)} onChange=${() => toggle(job.id)} />
                </td>
                <td class="c-name"><a class="name" href=${`/jobs/${job.id}`}>${job.name || job.id}</a>${job.project && html`<small>${job.project}</small>`}</td>
                <td class="c-state"><${State} state=${job.state} /></td>
                ${columns.map((c) => html`<td key=${c} class=${classOf(c)} data-label=${headOf(c)}>${cell(job, c)}</td>`)}
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function openRow(event, job) {
  if (event.target.closest('a, input, button, .c-pick') || String(getSelection())) return;
  go(`/jobs/${job.id}`);
}

/* A press sorts by the better end first, another by the other one, a third no more.  SORTS: those two; empty where it does not sort. */
function Heading({ column, name, sorts, class: className, sort }) {
  if (sorts.length === 0) return html`<th class=${className}>${name}</th>`;
  const up = sort === column;
  const down = sort === `-${column}`;
  const next = sort === sorts[0] ? sorts[1] : sort === sorts[1] ? '' : sorts[0];
  return html`
    <th class=${className} aria-sort=${up ? 'ascending' : down ? 'descending' : 'none'}>
      <button onClick=${() => setQuery({ sort: next })} title=${column}>${name}<i>${up ? '↑' : down ? '↓' : ''}</i></button>
    </th>
  `;
}

function Selection({ selected, clear }) {
  if (selected.size === 0) return null;
  const address = `/compare?jobs=${[...selected].join(',')}`;
  return html`
    <div class="selection" role="region" aria-label="Chosen jobs">
      <span>${selected.size} chosen</span>
      ${selected.size > 1 ? html`<a class="button primary" href=${address}>Compare</a>` : html`<span class="muted">choose one more to compare</span>`}
      <button class="quiet" onClick=${clear}>Clear</button>
    </div>
  `;
}

function Empty({ filtered }) {
  if (filtered) {
    return html`<section class="empty"><h2>No job fits these filters</h2><p><a href="/">Show all jobs</a></p></section>`;
  }
  return html`
    <section class="empty">
      <h2>No jobs yet</h2>
      <p>Start with a ready example, or post one with curl:</p>
      <${Shell} text=${`curl -s ${address('/examples/fashion-quick')} | curl --json @- ${address('/jobs')}`} />
      <p><a class="button primary" href="/new">New job</a></p>
    </section>
  `;
}
