// Pieces that several views share.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { follow } from '../api.js';
import * as format from '../lib/format.js';

const TERMINAL = ['succeeded', 'failed', 'cancelled', 'timed_out'];

export function isTerminal(state) {
  return TERMINAL.includes(state);
}

export function State({ state }) {
  return html`<span class="state" data-state=${state}>${format.words(state)}</span>`;
}

/* How far a job is: a bar, the share, and what is left. */
export function Progress({ job, wide }) {
  const fraction = fractionOf(job);
  const known = Number.isFinite(fraction);
  return html`
    <div class=${`progress ${wide ? 'wide' : ''}`}>
      <progress max="1" value=${known ? fraction : 0} data-state=${job.state} aria-label="Progress"></progress>
      <span>${known ? format.progress(fraction) : format.NOTHING}</span>
    </div>
  `;
}

export function fractionOf(job) {
  if (job.state === 'succeeded') return 1;
  const p = job.progress || {};
  if (Number.isFinite(p.fraction)) return p.fraction;
  return p.n_steps > 0 ? p.step / p.n_steps : NaN;
}

/* Seconds that are left: the server's estimate, else from the pace so far. */
export function etaOf(job, now = Date.now()) {
  if (job.state !== 'running') return NaN;
  if (Number.isFinite(job.progress?.eta_s)) return job.progress.eta_s;
  const fraction = fractionOf(job);
  const started = format.millis(job.started_at);
  return fraction > 0.01 && Number.isFinite(started) ? ((now - started) / 1000 / fraction) * (1 - fraction) : NaN;
}

/* Seconds that a job has run, or ran. */
export function runtimeOf(job, now = Date.now()) {
  const from = format.millis(job.started_at);
  const to = isTerminal(job.state) ? format.millis(job.finished_at) : now;
  return (to - from) / 1000;
}

/* A refusal of the server with all that it says, and CHILDREN: what can be done about it. */
export function ErrorBox({ error, retry, children }) {
  if (!error) return null;
  return html`
    <div class="error" role="alert">
      <b>${error.title || 'Something went wrong'}</b>
      <p>${error.message || error.detail} ${error.pointer && html`<code>${error.pointer}</code>`}</p>
      ${error.errors?.length > 0 &&
      html`<ul>
        ${error.errors.map((e) => html`<li><code>${e.pointer}</code> ${e.detail}</li>`)}
      </ul>`}
      ${retry && html`<button onClick=${retry}>Try again</button>`}
      ${children}
    </div>
  `;
}

export function Time({ at }) {
  const now = useNow(at);
  if (!at) return html`<span class="muted">${format.NOTHING}</span>`;
  return html`<time datetime=${new Date(format.millis(at)).toISOString()} title=${format.moment(at)}>${format.ago(at, now)}</time>`;
}

/* The present time, again every few seconds while that can be seen in the text. */
export function useNow(at) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const young = Date.now() - format.millis(at) < 60000;
    const timer = setInterval(() => setNow(Date.now()), young ? 5000 : 30000);
    return () => clearInterval(timer);
  }, [at]);
  return Math.max(now, format.millis(at) || 0);
}

/* What LOAD answers: {data, error, again}.  Loads anew when KEY changes; an answer that comes late is dropped. */
export function useLoaded(load, key) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const turn = useRef(0);
  const again = () => {
    const mine = ++turn.current;
    return load().then(
      (data) => mine === turn.current && setState({ data, error: null, loading: false }),
      (error) => mine === turn.current && setState((s) => ({ ...s, error, loading: false })),
    );
  };
  useEffect(() => {
    setState((s) => ({ ...s, loading: true }));
    again();
    return () => turn.current++;
  }, [key]);
  const change = (how) => setState((s) => (s.data ? { ...s, data: how(s.data) } : s));
  return { ...state, again, change };
}

const REFRESH_MS = 400; // between two loads, however many events come

/* The same, kept up by the server's events: {data, error, again, status}.  NEWS(kind, event) answers true where it must be loaded
 * again, with a function from the data to the new data where the event says it all, and with nothing where it is no concern. */
export function useLive(load, key, news) {
  const loaded = useLoaded(load, key);
  const [status, setStatus] = useState('');
  const latest = useRef();
  latest.current = { ...loaded, news };
  useEffect(() => {
    const again = atMostEvery(REFRESH_MS, () => latest.current.again());
    const end = follow(null, {
      status: setStatus,
      resync: again,
      event(kind, event) {
        const answer = latest.current.news(kind, event);
        if (answer === true) again();
        else if (answer) latest.current.change(answer);
      },
    });
    return () => {
      end();
      again.cancel();
    };
  }, [key]);
  return { ...loaded, status };
}

/* CALL at most once in MS; the last call is never lost. */
export function atMostEvery(ms, call) {
  let timer = 0;
  let last = 0;
  const run = () => {
    timer = 0;
    last = Date.now();
    call();
  };
  const ask = () => {
    if (!timer) timer = setTimeout(run, Math.max(0, last + ms - Date.now()));
  };
  ask.cancel = () => clearTimeout(timer);
  return ask;
}

/* A choice among a few, shown side by side. */
export function Choice({ label, value, options, onChange }) {
  return html`
    <fieldset class="choice">
      <legend>${label}</legend>
      ${options.map(
        ([name, text]) => html`<button type="button" aria-pressed=${String(name === value)} onClick=${() => onChange(name)}>${text}</button>`,
      )}
    </fieldset>
  `;
}

export function Check({ label, checked, onChange }) {
  return html`<label class="check"><input type="checkbox" checked=${checked} onChange=${(e) => onChange(e.target.checked)} /> ${label}</label>`;
}

/* The connection to the server's events. */
export function Live({ status }) {
  const text = { live: 'Live', waiting: 'Reconnecting…', ended: 'Finished' }[status];
  return text ? html`<span class="live" data-status=${status} role="status">${text}</span>` : null;
}

export function saveAs(name, blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const CONFIRM_MS = 4000; // until the second press is no longer taken for an answer

/* A button that asks once before it acts. */
export function ConfirmButton({ text, confirm, onConfirm }) {
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (!asking) return undefined;
    const timer = setTimeout(() => setAsking(false), CONFIRM_MS);
    return () => clearTimeout(timer);
  }, [asking]);
  const press = () => {
    if (asking) onConfirm();
    setAsking(!asking);
  };
  return html`<button class=${asking ? 'danger' : ''} onClick=${press}>${asking ? confirm : text}</button>`;
}

/* A window over the page; Escape and a press beside it close it. */
export function Dialog({ title, onClose, children }) {
  const el = useRef(null);
  useEffect(() => el.current.showModal(), []);
  return html`
    <dialog ref=${el} aria-label=${title} onClose=${onClose} onClick=${(e) => e.target === el.current && el.current.close()}>
      <div class="head small">
        <h2>${title}</h2>
        <span class="grow"></span>
        <button class="quiet" onClick=${() => el.current.close()} aria-label="Close">✕</button>
      </div>
      ${children}
    </dialog>
  `;
}

/* A document between single quotes of a shell. */
export function quoted(document) {
  return JSON.stringify(document).replaceAll("'", "'\\''");
}

/* A line for the shell, ready to be copied. */
export function Shell({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`
    <div class="shell">
      <pre tabindex="0">${text}</pre>
      ${navigator.clipboard && html`<button onClick=${copy}>${copied ? 'Copied' : 'Copy'}</button>`}
    </div>
  `;
}
