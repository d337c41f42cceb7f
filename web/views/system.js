// The machine and who works on it.

import { html, render } from 'htm/preact';
import { useEffect } from 'preact/hooks';
import { system, workers } from '../api.js';
import * as format from '../lib/format.js';
import { ErrorBox, State, Time, useLoaded } from './parts.js';

const REFRESH_MS = 3000;

export function title() {
  return 'System';
}

export function mount(el) {
  render(html`<${System} />`, el);
  return () => render(null, el);
}

function System() {
  const machine = useLoaded(() => system(), 'system');
  const list = useLoaded(() => workers(), 'workers');
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.hidden) return;
      machine.again();
      list.again();
    }, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return html`
    <div class="head">
      <h1>System</h1>
      <span class="grow"></span>
      <a class="button" href="/tokens">Tokens</a>
    </div>
    <${ErrorBox} error=${machine.error || list.error} retry=${machine.again} />
    ${machine.data && html`<${Budgets} data=${machine.data} />`}
    <h2>Workers</h2>
    ${list.data && html`<${Workers} items=${list.data.items || list.data} />`}
    <h2>Machine</h2>
    ${machine.data && html`<${Tree} value=${about(machine.data)} />`}
    <p class="muted">For programs: <a href="/api/v1/openapi.json">the API</a>, <a href="/api/v1/schema/job.json">the schema of a job</a>, <a href="/metrics">Prometheus metrics</a>.</p>
  `;
}

const BUDGETS = [
  ['Workers', 'workers', format.count],
  ['Threads', 'threads', format.count],
  ['Memory', 'memory_bytes', format.bytes],
  ['Disk', 'disk_bytes', format.bytes],
];

/* What jobs draw on: {total, free} each. */
function Budgets({ data }) {
  return html`
    <div class="budgets">
      ${BUDGETS.filter(([, key]) => Number.isFinite(data[key]?.total)).map(([name, key, text]) => {
        const { total, free } = data[key];
        return html`
          <div class="card">
            <span>${name}</span>
            <b>${text(total - free)} <small>of ${text(total)} in use</small></b>
            <meter min="0" max=${total || 1} value=${total - free} aria-label=${`${name} in use`}></meter>
          </div>
        `;
      })}
    </div>
  `;
}

function Workers({ items }) {
  if (items.length === 0) return html`<p class="empty small">No worker runs.</p>`;
  return html`
    <div class="scroll">
      <table>
        <thead><tr><th>Process</th><th>Role</th><th>State</th><th>Job</th><th class="num">Threads</th><th class="num">Memory</th><th class="num">Age</th></tr></thead>
        <tbody>
          ${items.map(
            (w) => html`
              <tr>
                <td class="num left">${w.pid}</td>
                <td>${w.role}</td>
                <td>${w.state ? html`<${State} state=${w.state} />` : format.NOTHING}</td>
                <td>${w.job ? html`<a href=${`/jobs/${w.job}`}>${w.job_name || w.job.slice(-6)}</a>` : format.NOTHING}</td>
                <td class="num">${w.threads || format.NOTHING}</td>
                <td class="num">${w.memory_bytes ? format.bytes(w.memory_bytes) : format.NOTHING}</td>
                <td class="num">${format.duration(w.age_ms / 1000)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/* What is not among the budgets. */
function about(data) {
  return Object.fromEntries(Object.entries(data).filter(([name]) => !BUDGETS.some(([, key]) => key === name)));
}

const LABELS = {
  version: 'Version',
  host: 'Host',
  started_at: 'Started',
  now: 'Clock',
  cores: 'Processor cores',
  database_bytes: 'Database',
  devices: 'Devices',
  draining: 'About to stop',
};

/* "open_files" as "Open files" */
function labelOf(name) {
  const text = format.words(name);
  return LABELS[name] || text.charAt(0).toUpperCase() + text.slice(1);
}

/* Whatever the server says of itself, as names and values. */
function Tree({ value }) {
  return html`
    <dl class="about tree">
      ${Object.entries(value).map(([name, v]) => html`<dt>${labelOf(name)}</dt><dd>${leaf(name, v)}</dd>`)}
    </dl>
  `;
}

function leaf(name, v) {
  if (Array.isArray(v)) return v.map((x, i) => html`${i > 0 ? ', ' : ''}${leaf('', x)}`);
  if (v !== null && typeof v === 'object') return html`<${Tree} value=${v} />`;
  if (name === 'now') return format.moment(v);
  if (/_at$/.test(name)) return html`<${Time} at=${v} />`;
  if (typeof v === 'boolean') return v ? 'yes' : 'no';
  if (typeof v === 'number' && /bytes|memory|disk/.test(name)) return format.bytes(v);
  if (typeof v === 'number' && /_s$|seconds/.test(name)) return format.duration(v);
  if (typeof v === 'number') return format.count(v);
  return v === null ? format.NOTHING : String(v);
}
