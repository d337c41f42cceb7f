// All jobs: a table that is live, sorts, filters, and leads to one job or to a comparison of several.

import { html, render } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { follow, jobs } from '../api.js';
import * as format from '../lib/format.js';
import { number } from '../lib/smooth.js';
import { go, setQuery } from '../lib/route.js';
import { ErrorBox, Live, Progress, State, Time, atMostEvery, etaOf } from './parts.js';

const PAGE = 50; // jobs at a time
const REFRESH_MS = 400; // between two looks at the list, however many events come
const TYPING_MS = 250;
const COMPARE_MOST = 10; // as many as there are colours

const STATES = ['preparing', 'queued', 'starting', 'running', 'pausing', 'paused', 'cancelling', 'interrupted', 'succeeded', 'failed', 'cancelled', 'timed_out'];

/* One row is one column: its name, the server's name for sorting (descending first where the high end is the better one). */
const COLUMNS = [
  { name: 'Job', sort: 'name', cell: (job) => html`<a class="name" href=${`/jobs/${job.id}`}>${job.name || job.id}</a>${job.project && html`<small>${job.project}</small>`}`, class: 'c-name' },
  { name: 'State', sort: 'state', cell: (job) => html`<${State} state=${job.state} />`, class: 'c-state' },
  { name: 'Progress', cell: (job) => html`<${Progress} job=${job} />`, class: 'c-progress' },
  { name: 'Time left', cell: (job) => format.duration(etaOf(job)), class: 'c-eta num' },
  { name: 'Loss', sort: 'train/loss', cell: (job) => format.value(job.summary?.['train/loss']), class: 'c-loss num' },
  { name: 'Test accuracy', sort: 'test/accuracy', high: true, cell: (job) => format.percent(number(job.summary?.['test/accuracy']), 2), class: 'c-accuracy num' },
  { name: 'Created', sort: 'created_at', high: true, cell: (job) => html`<${Time} at=${job.created_at} />`, class: 'c-created' },
  { name: 'Owner', sort: 'owner', cell: (job) => job.owner || format.NOTHING, class: 'c-owner' },
];

export function title() {
  return 'Jobs';
}

export function mount(el, params) {
  render(html`<${Jobs} query=${params.query} />`, el);
  return () => render(null, el);
}

function filtersOf(query) {
  const filters = {};
  for (const name of ['state', 'project', 'q', 'sort', 'owner', 'tag']) if (query.get(name)) filters[name] = query.get(name);
  return filters;
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
        if (kind === 'state' || kind === 'job') return refresh();
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
  const { items, has_more, error, status, more, again } = useJobs(filters);
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
    <${ErrorBox} error=${error} retry=${again} />
    ${items && items.length === 0 && html`<${Empty} filtered=${filtered} />`}
    ${items && items.length > 0 && html`<${Table} items=${items} sort=${filters.sort || '-created_at'} selected=${selected} toggle=${toggle} />`}
    ${has_more && html`<p class="more"><button onClick=${more}>Show more</button></p>`}
    <${Selection} selected=${selected} clear=${() => setSelected(new Set())} />
  `;
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
      ${Object.keys(filters).length > 0 && html`<button type="button" class="quiet" onClick=${() => go('/')}>Clear</button>`}
    </form>
  `;
}

function Table({ items, sort, selected, toggle }) {
  return html`
    <div class="scroll">
      <table class="jobs">
        <thead>
          <tr>
            <th class="c-pick"><span class="hidden">Choose</span></th>
            ${COLUMNS.map((c) => html`<${Heading} column=${c} sort=${sort} />`)}
          </tr>
        </thead>
        <tbody>
          ${items.map(
            (job) => html`
              <tr key=${job.id} class=${selected.has(job.id) ? 'picked' : ''} onClick=${(e) => openRow(e, job)}>
                <td class="c-pick">
                  <input type="checkbox" aria-label=${`Choose ${job.name || job.id} to compare`} checked=${selected.has(job.id)} onChange=${() => toggle(job.id)} />
                </td>
                ${COLUMNS.map((c) => html`<td class=${c.class} data-label=${c.name}>${c.cell(job)}</td>`)}
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

function Heading({ column, sort }) {
  if (!column.sort) return html`<th class=${column.class}>${column.name}</th>`;
  const up = sort === column.sort;
  const down = sort === `-${column.sort}`;
  const first = column.high ? `-${column.sort}` : column.sort;
  const second = column.high ? column.sort : `-${column.sort}`;
  const next = sort === first ? second : sort === second ? '' : first;
  return html`
    <th class=${column.class} aria-sort=${up ? 'ascending' : down ? 'descending' : 'none'}>
      <button onClick=${() => setQuery({ sort: next })}>${column.name}<i>${up ? '↑' : down ? '↓' : ''}</i></button>
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
      <pre>curl -s ${location.origin}/api/v1/examples/fashion-quick | curl --json @- ${location.origin}/api/v1/jobs</pre>
      <p><a class="button primary" href="/new">New job</a></p>
    </section>
  `;
}
