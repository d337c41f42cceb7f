// Sweeps without drawing: the form's rows as a space, how large it is, the best so far, and the axes of its parallel coordinates.

import { number } from './smooth.js';

/* Kinds of a row, what its values are, and how many of them. */
export const SPACES = [
  ['values', 'one of', 'values, separated by commas: 16, 32, 64'],
  ['log_uniform', 'log-uniform', 'from, to: 0.0001, 0.1'],
  ['uniform', 'uniform', 'from, to: 0, 0.5'],
  ['int_uniform', 'whole numbers', 'from, to: 1, 8'],
  ['quantized', 'steps of', 'from, to, step: 16, 256, 16'],
];

/* One value as a person types it: JSON where it is some, else text. */
export function literal(text) {
  const t = text.trim();
  try {
    return JSON.parse(t);
  } catch {
    return t;
  }
}

/* "16, [1, 2], relu" as [16, [1, 2], "relu"]: commas within brackets and quotes do not part. */
export function listOf(text) {
  const out = [];
  let depth = 0;
  let quoted = false;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '"' && text[i - 1] !== '\\') quoted = !quoted;
    if (!quoted && (c === '[' || c === '{')) depth++;
    if (!quoted && (c === ']' || c === '}')) depth--;
    if (i === text.length || (c === ',' && depth === 0 && !quoted)) {
      if (text.slice(from, i).trim() !== '') out.push(literal(text.slice(from, i)));
      from = i + 1;
    }
  }
  return out;
}

/* Rows [{pointer, kind, text}] of the form as the server's "space"; rows without a pointer are not there yet. */
export function spaceOf(rows) {
  return Object.fromEntries(rows.filter((r) => r.pointer.trim() !== '').map((r) => [r.pointer.trim(), { [r.kind]: listOf(r.text) }]));
}

/* The rows of the form for a SPACE: the way back. */
export function rowsOf(space) {
  return Object.entries(space || {}).map(([pointer, given]) => {
    const [kind, list] = Object.entries(given)[0] || ['values', []];
    return { pointer, kind, text: list.map((v) => JSON.stringify(v)).join(', ') };
  });
}

/* Whether a document is a sweep's, not a job's. */
export function isSweep(document) {
  return Boolean(document?.base && document.space);
}

/* The form's values for a sweep that was or may be; FIRST has those that it does not say. */
export function valuesOf(sweep, first) {
  const given = { ...sweep, ...sweep.asha };
  const texts = Object.keys(first).filter((k) => given[k] !== undefined && given[k] !== null && k !== 'median');
  return { ...first, ...Object.fromEntries(texts.map((k) => [k, String(given[k])])), median: sweep.asha?.median ?? first.median };
}

/* What the form's VALUES and ROWS say, as the server's document. */
export function sweepDocument(values, rows, base) {
  const whole = (name) => (values[name] === '' ? undefined : Number(values[name]));
  const asha = { min_steps: whole('min_steps'), eta: whole('eta'), median: values.median };
  return {
    ...(values.name.trim() && { name: values.name.trim() }),
    base,
    space: spaceOf(rows),
    metric: values.metric.trim(),
    goal: values.goal,
    strategy: values.strategy,
    max_jobs: whole('max_jobs'),
    parallel: whole('parallel'),
    ...(values.strategy !== 'grid' && { seed: whole('seed') }),
    ...(values.strategy === 'asha' && { asha }),
  };
}

const SPLITS = [
  ['val', 'validation'],
  ['test', 'test'],
];

/* The series that jobs like BASE will have, those to choose by first.  CHECKED is what the server's check says of it; where the
 * data are not there yet it says nothing, and the base alone tells. */
export function metricsOf(base, checked) {
  const named = (base?.metrics || []).filter((m) => typeof m === 'string');
  const samples = checked?.samples ?? { validation: base?.data?.split?.validation || 0, test: 1 };
  const splits = SPLITS.filter(([, name]) => samples[name] > 0).map(([prefix]) => prefix);
  return [...splits.flatMap((prefix) => [...(checked?.metrics ?? named), 'loss'].map((m) => `${prefix}/${m}`)), 'train/loss'];
}

/* How many settings a grid over SPACE has; NaN where a row has no end of values. */
export function gridSize(space) {
  return Object.values(space).reduce((n, given) => n * (Array.isArray(given.values) ? given.values.length : NaN), 1);
}

/* A space for people: "0.0001 … 0.1, log-uniform". */
export function spaceText(given) {
  const [kind, list] = Object.entries(given || {})[0] || ['values', []];
  if (kind === 'values') return list.map((v) => (typeof v === 'string' ? v : JSON.stringify(v))).join(', ');
  const name = SPACES.find(([k]) => k === kind)?.[1] || kind;
  return `${list[0]} … ${list[1]}, ${name}${list.length > 2 ? ` ${list[2]}` : ''}`;
}

/* How many of a sweep's jobs there are in all, have ended, have failed, and run now. */
export function childrenOf(sweep) {
  const counts = sweep.counts || {};
  const sum = (states) => states.reduce((n, state) => n + (counts[state] || 0), 0);
  const failed = sum(['failed', 'timed_out']);
  return { done: failed + sum(['succeeded', 'cancelled']), failed, running: sum(['running', 'starting']), all: sweep.max_jobs || sum(Object.keys(counts)) };
}

/* Whether A is better than B for the sweep's GOAL. */
function isBetter(a, b, goal) {
  return !Number.isFinite(b) || (goal === 'min' ? a < b : a > b);
}

/* Children that have a value, in the order in which they were made, each with the best value up to it:
 * [{index, job, value, best}]. */
export function bestSoFar(jobs, goal) {
  let best = NaN;
  return jobs
    .filter((j) => Number.isFinite(number(j.value)))
    .sort((a, b) => a.index - b.index)
    .map((j) => {
      const value = number(j.value);
      if (isBetter(value, best, goal)) best = value;
      return { index: j.index, job: j.id, value, best };
    });
}

/* Children by their value, the best first; those without one at the end. */
export function ranked(jobs, goal) {
  const key = (j) => {
    const v = number(j.value);
    return Number.isFinite(v) ? (goal === 'min' ? v : -v) : Infinity;
  };
  return [...jobs].sort((a, b) => key(a) - key(b) || a.index - b.index);
}

// ---- Parallel coordinates ---------------------------------------------------------------------------------------------

/* The axes of a sweep: one for each parameter, the last for the metric.  An axis is {name, kind: "linear" | "log" | "category",
 * low, high | categories, place(value): from 0 (low end) to 1, NaN where there is none}. */
export function axesOf(sweep) {
  const pointers = Object.keys(sweep.space || {});
  const column = (p) => sweep.jobs.map((j) => j.params?.[p]);
  const axes = pointers.map((p) => {
    const given = sweep.space[p] || {};
    return given.values ? categories(p, given.values) : axis(p, column(p), 'log_uniform' in given);
  });
  return [...axes, axis(sweep.metric, sweep.jobs.map((j) => j.value), false)];
}

function axis(name, given, isLog) {
  const values = given.filter((v) => v !== undefined && v !== null);
  const numbers = values.map(Number).filter(Number.isFinite);
  if (values.some((v) => !['number', 'string'].includes(typeof v) || (typeof v === 'string' && !/^[-+]?(Infinity|NaN)$/.test(v)))) return categories(name, values);
  const low = numbers.length ? Math.min(...numbers) : 0;
  const high = numbers.length ? Math.max(...numbers) : 1;
  const log = isLog && low > 0;
  const f = log ? Math.log : (v) => v;
  const place = (v) => {
    const x = v === null || v === undefined ? NaN : Number(v);
    if (!Number.isFinite(x)) return NaN;
    return high > low ? (f(x) - f(low)) / (f(high) - f(low)) : 0.5;
  };
  return { name, kind: log ? 'log' : 'linear', low, high, place };
}

function categories(name, values) {
  const text = (v) => (typeof v === 'string' ? v : JSON.stringify(v));
  const list = [...new Set(values.map(text))].sort((a, b) => Number(a) - Number(b) || a.localeCompare(b, 'en', { numeric: true }));
  const place = (v) => {
    const i = v === undefined || v === null ? -1 : list.indexOf(text(v));
    return i < 0 ? NaN : list.length > 1 ? i / (list.length - 1) : 0.5;
  };
  return { name, kind: 'category', categories: list, place };
}

/* Labels [{at: 0..1, text}] of an axis: its categories, or what it begins, is halfway, and ends with. */
export function axisLabels(a, text) {
  if (a.kind === 'category') return a.categories.map((c, i) => ({ at: a.categories.length > 1 ? i / (a.categories.length - 1) : 0.5, text: c }));
  if (a.low === a.high) return [{ at: 0.5, text: text(a.low) }];
  const middle = a.kind === 'log' ? Math.sqrt(a.low * a.high) : (a.low + a.high) / 2;
  return [{ at: 0, text: text(a.low) }, { at: 0.5, text: text(middle) }, { at: 1, text: text(a.high) }];
}

/* Whether a child's places [0..1 per axis] lie within all BRUSHES {axis index: [low, high]}. */
export function isWithin(places, brushes) {
  return Object.entries(brushes).every(([k, range]) => !range || (places[k] >= range[0] && places[k] <= range[1]));
}

const NUDGE = 0.05; // of an axis, for each press of a key

/* The brush RANGE (null: all) after KEY: the arrows move its lower end, with SHIFT its upper one; Escape takes it away.
 * undefined: the key means nothing here. */
export function nudged(range, key, shift) {
  if (key === 'Escape') return null;
  const by = { ArrowUp: NUDGE, ArrowDown: -NUDGE }[key];
  if (!by) return undefined;
  const [low, high] = range || [0, 1];
  const moved = shift ? [low, Math.min(1, Math.max(low + NUDGE, high + by))] : [Math.max(0, Math.min(high - NUDGE, low + by)), high];
  return moved[0] <= 0 && moved[1] >= 1 ? null : moved;
}
