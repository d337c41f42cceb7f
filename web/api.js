// All that the dashboard knows of the server: requests, errors, and the live stream.  No other file calls fetch or EventSource.

const BASE = '/api/v1';
const READ_DEADLINE_MS = 20000; // an answer later than this is of no use to a reader
const PREDICT_DEADLINE_MS = 65000; // the server itself gives up after a minute
const REPLAY_DEADLINE_MS = 60000; // a step of thousands of ops is a document of megabytes
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

async function request(method, path, { body, headers = {}, signal, quiet, ms = READ_DEADLINE_MS } = {}) {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), ms);
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
  const problem = problemOf(answer.status, await answer.text().catch(() => ''), path);
  if (answer.status === 401 && !quiet) signInNeeded();
  throw problem;
}

function problemOf(status, text, path) {
  try {
    return new Problem(status, JSON.parse(text), path);
  } catch {
    return new Problem(status, null, path); // no problem document: a proxy's page, or nothing
  }
}

/* Send FILE in a stream.  ONPROGRESS gets the bytes sent so far: only XMLHttpRequest tells. */
function upload(path, file, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const x = new XMLHttpRequest();
    x.open('PUT', BASE + path);
    x.setRequestHeader('content-type', 'application/octet-stream');
    x.upload.onprogress = (e) => onProgress?.(e.loaded);
    x.onload = () => {
      if (x.status === 401) signInNeeded();
      if (x.status < 300) resolve();
      else reject(problemOf(x.status, x.responseText, path));
    };
    x.onerror = () => reject(new Problem(0, { detail: `The connection broke while "${file.name}" was sent. Try again.` }, path));
    x.onabort = () => reject(new DOMException('Cancelled', 'AbortError'));
    signal?.addEventListener('abort', () => x.abort(), { once: true });
    x.send(file);
  });
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
  compare: (ids) => get(`/jobs/compare${query({ jobs: ids.join(',') })}`),
  /* The list as a table for other programs. */
  csv: async (filters) => (await request('GET', `/jobs${query(filters)}`, { headers: { accept: 'text/csv' } })).blob(),
  /* Runs that differ in their seeds alone. */
  groups: (filters) => get(`/jobs/groups${query(filters)}`),
  submit: (text, key) => json('POST', '/jobs', text, { headers: { 'idempotency-key': key } }),
  check: (text, signal) => json('POST', '/jobs?dry_run=1', text, { signal }),
  series: (job) => get(`/jobs/${id(job)}/metrics`),
  metric: (job, name, window = {}) => get(`/jobs/${id(job)}/metrics${query({ name, ...window })}`),
  /* A new job from a checkpoint of this one: FROM is "best", "last" or "step:N", SET {pointer: value}. */
  fork: (job, fork) => json('POST', `/jobs/${id(job)}/fork`, fork),
  /* What the trained model says of INPUT: {body: text or file, type: its media type}. */
  predict: async (job, input, options = {}) =>
    (await request('POST', `/jobs/${id(job)}/predict${query(options)}`, { body: input.body, headers: { 'content-type': input.type }, ms: PREDICT_DEADLINE_MS })).json(),
  histograms: (job) => get(`/jobs/${id(job)}/histograms`),
  histogram: (job, name, max) => get(`/jobs/${id(job)}/histograms${query({ name, max })}`),
  graph: (job) => get(`/jobs/${id(job)}/graph`),
  report: (job) => get(`/jobs/${id(job)}/report`),
  replays: (job) => get(`/jobs/${id(job)}/replays`),
  /* STEP: the first of the replay's. */
  replay: (job, step) => get(`/jobs/${id(job)}/replays/${id(step)}`, { ms: REPLAY_DEADLINE_MS }),
  startReplay: (job, step, steps) => json('POST', `/jobs/${id(job)}/replay`, { step, steps }),
  removeReplay: (job, step) => json('DELETE', `/jobs/${id(job)}/replays/${id(step)}`),
  replayValueAddress: (job, step, value) => `${BASE}/jobs/${id(job)}/replays/${id(step)}/values/${value}`,
  replaySampleAddress: (job, step, sample) => `${BASE}/jobs/${id(job)}/replays/${id(step)}/samples/${sample}`,
  checkpoints: (job) => get(`/jobs/${id(job)}/checkpoints`),
  artifacts: (job) => get(`/jobs/${id(job)}/artifacts`),
  artifactAddress: (job, name) => `${BASE}/jobs/${id(job)}/artifacts/${id(name)}`,
  pytorchAddress: (job) => `${BASE}/jobs/${id(job)}/pytorch.py`,
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

// ---- Data, sweeps, models ---------------------------------------------------------------------------------------------

export const datasets = {
  list: () => get('/datasets?limit=1000'),
  get: (name) => get(`/datasets/${id(name)}`),
  create: (dataset) => json('POST', '/datasets', dataset),
  /* Decode it again, with other types of columns or another format. */
  prepare: (name, format) => json('POST', `/datasets/${id(name)}/prepare`, { format }),
  cancel: (name) => json('POST', `/datasets/${id(name)}/cancel`),
  remove: (name) => json('DELETE', `/datasets/${id(name)}`),
  upload: (name, file, options) => upload(`/datasets/${id(name)}/files/${id(file.name)}`, file, options),
};

export const sweeps = {
  list: () => get('/sweeps'),
  get: (sweep) => get(`/sweeps/${id(sweep)}`),
  create: (sweep, key) => json('POST', '/sweeps', sweep, { headers: { 'idempotency-key': key } }),
  cancel: (sweep) => json('POST', `/sweeps/${id(sweep)}/cancel`),
};

export const models = {
  list: () => get('/models?limit=1000'),
  get: (name) => get(`/models/${id(name)}`),
  /* Keep a job's weights under a name. */
  keep: (name, job, checkpoint) => json('PUT', `/models/${id(name)}`, { job, checkpoint }),
  remove: (name) => json('DELETE', `/models/${id(name)}`),
  address: (name) => `${BASE}/models/${id(name)}/weights`,
};

/* The beginning of a line for the shell: curl with the address of PATH. */
export const address = (path) => `${location.origin}${BASE}${path}`;

// ---- The rest ---------------------------------------------------------------------------------------------------------

export const examples = {
  jobs: async () => (await get('/examples')).items.filter((e) => e.kind === 'job'), // the others are sweeps
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

const KINDS = ['state', 'job', 'deleted', 'metrics', 'histogram', 'log', 'warning', 'progress', 'artifact', 'checkpoint', 'rewind', 'dataset', 'reset'];

/* Follow the events of one job, from its first on, or of all from now on (JOB null).  ON has event(kind, data), resync() when
 * events may have been lost (a break; a "reset": older ones are no longer kept; with JOB null all until the stream is open),
 * and status("live" | "waiting").  After an ended job's last event the server says "end", and nothing more is asked for.  A
 * hidden page holds no connection (browsers allow six to a host): it lets go and resyncs when it is seen again.  Returns the
 * function that ends it. */
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
      if (wasOpen || !job) on.resync?.();
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
