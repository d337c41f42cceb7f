// A replayed step as pictures need it: which ops are shown, what each is coloured by, and what the verdict says.
//
// A replay's document holds ops ("nodes") and what they read and made ("values"), each known by its place in its list; see the
// server's api/replays.c.

import * as format from './format.js';

export const STEPS_MOST = 16; // of one replay

/* What the ops can be coloured by.  OF(value, values): the figure of one value; WORST: of several values the largest counts, else
 * the last one, which is the result.  SCALE: how figures become shares of the full colour. */
export const MEASURES = {
  zeros: { text: 'Zeros', worst: false, scale: 'share', of: (v) => v.zeros, show: (x) => `${format.percent(x)} zeros` },
  nonfinite: { text: 'Not finite', worst: true, scale: 'share', of: (v) => share(v.non_finite, v.shape), show: (x) => (x > 0 ? `${badShare(x)} not finite` : 'finite') },
  largest: { text: 'Largest', worst: true, scale: 'log', of: largest, show: (x) => `to ${format.value(x)}` },
  mean: { text: 'Mean', worst: false, scale: 'signed', of: (v) => v.mean, show: (x) => `mean ${format.value(x)}` },
  gradient: { text: 'Gradient', worst: false, scale: 'log', of: (v, values) => gradientOf(v, values)?.norm, show: (x) => `|g| ${format.value(x)}` },
};

/* Which ops are shown together. */
export const PARTS = {
  forward: { text: 'Forward', phases: ['forward'] },
  backward: { text: 'Backward', phases: ['backward'] },
  both: { text: 'Both', phases: ['forward', 'backward'] },
  all: { text: 'Whole step', phases: ['forward', 'backward', 'update', 'metrics'] },
};

function share(n, shape) {
  return n > 0 ? n / Math.max(1, shape.reduce((a, b) => a * b, 1)) : 0;
}

/* One NaN in a million is none in per cent. */
function badShare(x) {
  return x < 0.01 ? '< 1\u00a0%' : format.percent(x);
}

function largest(v) {
  return Number.isFinite(v.min) ? Math.max(Math.abs(v.min), Math.abs(v.max)) : null;
}

/* Of a gradient it is the value itself, of an update that of what stood there before. */
export function gradientOf(v, values) {
  if (v.kind === 'gradient') return v;
  const id = (v.kind === 'update' ? values[v.of] : v)?.gradient;
  return id === null || id === undefined ? null : values[id];
}

/* The ops of STEP that are shown: those of PART, and of its batches the one that is looked at. */
export function nodesOf(replay, step, { part = 'forward', batch = 0 } = {}) {
  const phases = new Set((PARTS[part] || PARTS.forward).phases);
  return replay.nodes.filter((n) => n.step === step && phases.has(n.phase) && (n.batch === batch || n.phase === 'update' || n.phase === 'metrics'));
}

const SOURCES = { parameter: 'parameter', buffer: 'state', state: 'state', input: 'input', update: 'state' };

/* NODES of a replay as lib/graphmodel.js wants them.  TYPES {layer: its type} makes their names speak.  What came from elsewhere is
 * a node of its own; in the gradient alone it is left out, where nearly all comes from elsewhere. */
export function graphNodes(replay, nodes, types = {}) {
  const shown = new Set(nodes.map((n) => n.id));
  const isForward = nodes.some((n) => n.phase === 'forward');
  const sources = new Map();
  const layer = (name) => (types[name] ? `${types[name]} ${name}` : name);
  const input = (id) => {
    const v = id === null ? null : replay.values[id];
    if (!v) return null;
    if (v.producer !== null && shown.has(v.producer)) return v.producer;
    if (!isForward || v.producer !== null) return null;
    const key = `v${id}`;
    const owner = v.kind === 'parameter' || v.kind === 'buffer' ? v.name.slice(0, Math.max(0, v.name.lastIndexOf('.'))) : v.kind === 'state' ? 'optimizer' : '';
    if (!sources.has(key)) sources.set(key, { id: key, op: SOURCES[v.kind] || 'input', name: v.name, layer: layer(owner), shape: v.shape, dtype: v.dtype, inputs: [], backward: false, value: id });
    return key;
  };
  const ops = nodes.map((n) => {
    const out = replay.values[n.outputs[0]];
    return { id: n.id, op: n.op, name: '', layer: layer(n.layer || (n.phase === 'backward' ? 'seed' : '')), shape: out?.shape || [], dtype: out?.dtype, inputs: n.inputs.map(input), backward: n.phase === 'backward', node: n };
  });
  return [...sources.values(), ...ops];
}

/* The figure of a box, made of graphNodes, by MEASURE; null where it has none. */
export function figureOf(replay, nodes, measure) {
  const { worst, of } = MEASURES[measure];
  const ops = nodes.filter((n) => n.node);
  // Second outputs are what backward needs, such as positions and masks: no result, but one of them may be what is not finite.
  const ids = ops.length === 0 ? nodes.map((n) => n.value) : ops.flatMap((n) => (measure === 'nonfinite' ? n.node.outputs : n.node.outputs.slice(0, 1)));
  const figures = ids.map((id) => ({ x: of(replay.values[id], replay.values), passes: passesOn(replay, id) })).filter((f) => Number.isFinite(f.x));
  if (figures.length === 0) return null;
  if (worst) return Math.max(...figures.map((f) => f.x));
  return (figures.findLast((f) => f.passes) || figures[figures.length - 1]).x;
}

/* The result of a layer's gradient is what the layers before it are given, not what its own weights get. */
function passesOn(replay, id) {
  const v = replay.values[id];
  return v.kind !== 'gradient' || v.of === null || replay.values[v.of].kind !== 'parameter';
}

/* From figures to colours: {low, high, at(x)}; AT is a share of the full colour from 0 to 1, negative for the other colour of
 * signed figures. */
export function scaleOf(figures, measure) {
  const { scale } = MEASURES[measure];
  const known = figures.filter((x) => Number.isFinite(x));
  if (scale === 'share') return { low: 0, high: 1, at: (x) => (measure === 'nonfinite' && x > 0 ? Math.max(0.5, x) : x) };
  if (scale === 'signed') {
    const most = known.reduce((m, x) => Math.max(m, Math.abs(x)), 0) || 1;
    return { low: -most, high: most, at: (x) => Math.sign(x) * Math.sqrt(Math.abs(x) / most) }; // the root brings the small ones into sight
  }
  const positive = known.filter((x) => x > 0);
  const low = positive.reduce((m, x) => Math.min(m, x), Infinity);
  const high = positive.reduce((m, x) => Math.max(m, x), 0);
  if (positive.length === 0) return { low: 0, high: 0, at: () => 0 };
  const width = Math.log(high / low);
  return { low, high, at: (x) => (x > 0 ? (width > 0 ? Math.min(1, 0.08 + (0.92 * Math.log(x / low)) / width) : 0.5) : 0) };
}

/* The replay, of those that there are, that holds STEP; one that has succeeded before one that has not. */
export function replayOf(items, step) {
  const holding = items.filter((r) => r.step <= step && step < r.step + r.steps);
  return holding.find((r) => r.state === 'succeeded') || holding.find(isUnderWay) || holding[0] || null;
}

export function isUnderWay(replay) {
  return replay.state === 'queued' || replay.state === 'running';
}

/* The last step of a job that can be looked at: the one that stopped it counts. */
export function lastStep(job) {
  return Math.max(job.progress?.step || 0, job.error?.step || 0);
}

const PHASES = { prepare: 'Reading the data and the checkpoint', forward: 'Running up to the step', observe: 'Doing the step, op by op', verify: 'Going on to what the job recorded, to compare' };

export function progressText(replay) {
  if (replay.state === 'queued') return 'Waiting for its turn';
  const { phase, done, total } = replay.progress || {};
  const text = PHASES[phase] || 'Starting';
  return phase === 'forward' && total > 0 ? `${text}: ${format.count(done)} of ${format.count(total)} steps` : text;
}

/* What the verdict is: yes, no, or open. */
export function verdictText({ identical }) {
  if (identical === null) return 'The same bits, as far as they could be compared';
  return identical ? 'Bit-identical' : 'Not the same bits';
}

/* What shows that the weights after the step are the job's. */
function weightsText(w) {
  if (!w?.compared) return '';
  if (w.by === 'no_update') return 'The step was not finite, so its update did not happen and no weights changed.';
  return `The updated weights were tested by ${w.by === 'checkpoint' ? 'the checkpoint of' : 'what came of them by'} step ${format.count(w.step)}.`;
}

/* What was compared, and what could not be, as sentences. */
export function comparedText({ compared: c, weights, not_compared: gap }) {
  const sentences = [`${several(c.tensors, 'tensor')} (${format.bytes(c.bytes)}), the loss and the gradient’s norm were compared, done eagerly and as a graph.`];
  const recorded = [c.recorded_points > 0 && several(c.recorded_points, 'point'), c.checkpoints > 0 && several(c.checkpoints, 'checkpoint')].filter(Boolean).join(' and ');
  sentences.push(recorded ? `Compared with what the job had recorded up to step ${format.count(c.until_step)}: ${recorded}.` : 'The job had recorded nothing at these steps that could be compared.');
  if (weightsText(weights)) sentences.push(weightsText(weights));
  if (gap) sentences.push(`${gap[0].toUpperCase()}${gap.slice(1)}.`);
  return sentences.join(' ');
}

/* Why bits may differ. */
export function inexactText({ fingerprint: f }) {
  if (f.recorded === f.here) return 'The job had run under other numerics before it came to those of this machine, so bits may differ.';
  return `The job ran with other numerics, so bits may differ: ${f.recorded} then, ${f.here} here.`;
}

function several(n, what) {
  return `${format.count(n)} ${what}${n === 1 ? '' : 's'}`;
}

/* "0.weight, element 17, at step 120: 0.25 eager, 0.26 graph" */
export function differenceText(d) {
  const where = d.index === null || d.index === undefined ? '' : `, element ${format.count(d.index)}`;
  const name = d.name && d.name !== d.what ? `${format.words(d.what)} ${d.name}` : format.words(d.what);
  return `${name}${where}, at step ${format.count(d.step)}: ${d.values.map((x, i) => `${x ?? 'nothing'} ${d.between[i]}`).join(', ')}`;
}

/* A histogram as the path of its bars in a box of one unit per bucket and HEIGHT units; the root brings the tails into sight. */
export function barsPath(counts, height) {
  const most = counts.reduce((a, b) => Math.max(a, b), 0) || 1;
  return counts.map((n, i) => (n > 0 ? `M${i} ${height}v${-round(height * Math.sqrt(n / most))}h1V${height}z` : '')).join('');
}

function round(x) {
  return Math.round(x * 100) / 100;
}

/* What an op's value is called: its own name, or what it was made by. */
export function nameOf(replay, id, types = {}) {
  const v = replay.values[id];
  if (v.name) return v.name;
  const of = v.kind === 'gradient' && v.of !== null && v.of !== undefined ? replay.values[v.of] : null;
  if (of) return `gradient of ${nameOf(replay, v.of, types)}`;
  const node = v.producer === null ? null : replay.nodes[v.producer];
  return node ? `${node.op}${node.layer ? ` in ${node.layer}` : ''}` : v.kind;
}

const isWrong = (s) => typeof s.label === 'string' && typeof s.prediction === 'string' && s.label !== s.prediction;

/* The samples of STEP's BATCH, those of CULPRIT (rows) first, then by ORDER "batch" or "loss". */
export function samplesOf(replay, step, { batch = 0, order = 'batch', culprit = [] } = {}) {
  const blamed = new Set(culprit);
  const loss = (s) => (typeof s.loss === 'number' ? s.loss : s.loss === null ? -Infinity : Infinity); // NaN is the worst
  return (replay.samples || [])
    .filter((s) => s.step === step && s.batch === batch)
    .map((s) => ({ ...s, blamed: blamed.has(s.row), wrong: isWrong(s) }))
    .sort((a, b) => b.blamed - a.blamed || (order === 'loss' && loss(a) !== loss(b) ? loss(b) - loss(a) : a.row - b.row));
}
