// All that the dashboard knows of the server: requests, errors, and the live stream.  No other file calls fetch or EventSource.

const BASE = '/api/v1';
const READ_DEADLINE_MS = 20000; // an answer later than this is of no use to a reader
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15000;

/* A refusal of the server (RFC 9457), or no answer at all (status 0). */
export class Problem extends Error {
  constructor(status, body, path) {
    super(body?.detail || body?.title || (status ? `The server answered ${status}.` : 'The server does not answer.'));
    this.name = 'Problem';
    this.status = status;
    this.title = body?.title || (status ? `Error ${status}` : 'No connection');
    this.errors = body?.errors || []; // [{pointer, line, column, detail}]
    this.path = path;
  }
}

let signInNeeded = () => {};

/* What to do when the server wants a token. */
export function onSignInNeeded(callback) {
  signInNeeded = callback;
}

async function request(method, path, { body, headers = {}, signal, quiet } = {}) {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), READ_DEADLINE_MS);
  signal?.addEventListener('abort', () => deadline.abort(), { once: true });
  let answer;
  try {
    answer = await fetch(BASE + path, { method, body, headers, signal: deadline.signal, credentials: 'same-origin' });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Problem(0, { detail: 'The server does not answer. Is tandemd running?' }, path);
  } finally {
    clearTimeout(timer);
  }
  if (answer.ok) return answer;
  const type = answer.headers.get('content-type') || '';
  const problem = new Problem(answer.status, type.includes('json') ? await answer.json().catch(() => null) : null, path);
  if (answer.status === 401 && !quiet) signInNeeded();
  throw problem;
}

async function json(method, path, value, options = {}) {
  const headers = { ...options.headers };
  let body;
  if (value !== undefined) {
    headers['content-type'] = 'application/json';
    body = typeof value === 'string' ? value : JSON.stringify(value);
  }
  const answer = await request(method, path, { ...options, body, headers });
  return answer.status === 204 ? null : answer.json().catch(() => null);
}

const get = (path, options) => json('GET', path, undefined, options);
const id = encodeURIComponent;

/* "?a=1&b=2" of the values that are set */
export function query(values) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v !== undefined && v !== null && v !== '') q.set(k, v);
  const text = q.toString();
  return text && `?${text}`;
}

// ---- Jobs -------------------------------------------------------------------------------------------------------------

export const jobs = {
  list: (filters, signal) => get(`/jobs${query(filters)}`, { signal }),
  get: (job) => get(`/jobs/${id(job)}`),
  act: (job, action) => json('POST', `/jobs/${id(job)}/${action}`),
  remove: (job) => json('DELETE', `/jobs/${id(job)}`),
  /* TEXT goes out as it was typed, so the lines and columns of faults fit the editor.  KEY makes a repeated send harmless. */
  submit: (text, key) => json('POST', '/jobs', text, { headers: { 'idempotency-key': key } }),
  check: (text, signal) => json('POST', '/jobs?dry_run=1', text, { signal }),
  series: (job) => get(`/jobs/${id(job)}/metrics`),
  metric: (job, name, window = {}) => get(`/jobs/${id(job)}/metrics${query({ name, ...window })}`),
  graph: (job) => get(`/jobs/${id(job)}/graph`),
  report: (job) => get(`/jobs/${id(job)}/report`),
  checkpoints: (job) => get(`/jobs/${id(job)}/checkpoints`),
  artifacts: (job) => get(`/jobs/${id(job)}/artifacts`),
  artifactAddress: (job, name) => `${BASE}/jobs/${id(job)}/artifacts/${id(name)}`,
  logAddress: (job) => `${BASE}/jobs/${id(job)}/log`,
  metricsAddress: (job) => `${BASE}/jobs/${id(job)}/metrics`,
};

/* One series of several jobs: {items: [{job, step, time, value, min, max}]}. */
export const compareMetric = (ids, name, window = {}) => get(`/metrics${query({ jobs: ids.join(','), name, ...window })}`);

/* All raw points of one series, as a CSV file. */
export async function metricCsv(job, name) {
  const answer = await request('GET', `/jobs/${id(job)}/metrics${query({ name })}`, { headers: { accept: 'text/csv' } });
  return answer.blob();
}

/* The log from byte FROM on: {text, end}; END is where to go on.  FROM null: about the last MOST bytes, from a line's beginning. */
export async function logPart(job, from, most) {
  const path = `/jobs/${id(job)}/log`;
  let start = from;
  if (start === null) {
    const length = Number((await request('HEAD', path)).headers.get('content-length')) || 0;
    if (length === 0) return { text: '', end: null };
    start = Math.max(0, length - most);
  }
  // One byte that is known already comes along, so the range is never empty, which would be an error.
  const first = Math.max(0, start - 1);
  const answer = await request('GET', path, { headers: { range: `bytes=${first}-` } });
  const body = new Uint8Array(await answer.arrayBuffer());
  const skip = start - (answer.status === 206 ? first : 0);
  const text = new TextDecoder().decode(body.subarray(skip));
  return { text: from === null && start > 0 ? text.slice(text.indexOf('\n') + 1) : text, end: start + body.length - skip };
}

// ---- The rest ---------------------------------------------------------------------------------------------------------

export const examples = {
  list: () => get('/examples'),
  text: async (name) => (await request('GET', `/examples/${id(name)}`)).text(),
};

export const session = {
  who: () => get('/session', { quiet: true }),
  start: (token) => json('POST', '/session', { token }, { quiet: true }),
  end: () => json('DELETE', '/session', undefined, { quiet: true }),
};

export const tokens = {
  list: () => get('/tokens'),
  create: (token) => json('POST', '/tokens', token),
  revoke: (token) => json('DELETE', `/tokens/${id(token)}`),
};

export const system = () => get('/system');
export const workers = () => get('/workers');

// ---- Live -------------------------------------------------------------------------------------------------------------

const KINDS = ['state', 'job', 'metrics', 'log', 'progress', 'artifact', 'checkpoint', 'rewind', 'reset'];

/* Follow the events of one job, from its first on, or of all from now on (JOB null).  ON has event(kind, data), resync() when
 * events may have been lost (a break; a "reset": older ones are no longer kept), and status("live" | "waiting").  After an
 * ended job's last event the server says "end", and nothing more is asked for.  A hidden page holds no connection (browsers
 * allow six to a host): it lets go and resyncs when it is seen again.  Returns the function that ends it. */
export function follow(job, on) {
  const address = job ? `${BASE}/jobs/${id(job)}/events` : `${BASE}/events`;
  let source = null;
  let timer = 0;
  let failures = 0;
  let wasOpen = false;
  let isOver = false;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(address);
    source.onopen = () => {
      failures = 0;
      on.status?.('live');
      if (wasOpen) on.resync?.();
      wasOpen = true;
    };
    source.onerror = () => {
      on.status?.('waiting');
      // The browser reconnects by itself, with Last-Event-ID, unless the server refused.
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** failures++));
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) => {
        let data;
        try {
          data = JSON.parse(message.data);
        } catch {
          return; // a line that is not JSON is no event of ours
        }
        if (kind === 'reset') on.resync?.();
        else on.event(kind, data);
      });
    }
    source.addEventListener('end', () => {
      isOver = true;
      close();
    });
  };
  const seen = () => (document.hidden ? close() : source || isOver || open());

  document.addEventListener('visibilitychange', seen);
  open();
  return () => {
    document.removeEventListener('visibilitychange', seen);
    close();
  };
}
