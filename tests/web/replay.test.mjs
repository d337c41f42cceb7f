// A replayed step: which ops are shown, how they are coloured, and what is said of the verdict and the samples.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extentOf, halves, model } from '../../web/lib/graphmodel.js';
import { MEASURES, PARTS, barsPath, comparedText, differenceText, figureOf, gradientOf, graphNodes, inexactText, lastStep, nameOf, nodesOf, progressText, replayOf, samplesOf, scaleOf, verdictText } from '../../web/lib/replay.js';

const value = (id, kind, more = {}) => ({ id, step: 5, batch: 0, name: '', layer: '', kind, of: null, gradient: null, dtype: 'float32', shape: [4, 2], min: -1, max: 3, mean: 1, norm: 2, zeros: 0, non_finite: 0, producer: null, consumers: [], ...more });
const node = (id, op, layer, phase, inputs, outputs, more = {}) => ({ id, step: 5, batch: 0, op, layer, phase, inputs, outputs, ...more });

/* x -> linear (0) -> relu (1) -> loss, and back. */
function step() {
  return {
    values: [
      value(0, 'parameter', { name: '0.weight', gradient: 8 }),
      value(1, 'input', { name: 'input' }),
      value(2, 'activation', { producer: 0, gradient: 6, zeros: 0.1 }),
      value(3, 'activation', { producer: 1, gradient: 5, zeros: 0.5, min: 0 }),
      value(4, 'activation', { producer: 2, name: 'loss', shape: [], gradient: null }),
      value(5, 'gradient', { of: 3, producer: 3, norm: 0.25, min: -9, max: 1 }),
      value(6, 'gradient', { of: 2, producer: 4, norm: 0.125 }),
      value(7, 'update', { of: 0, name: '0.weight', producer: 6 }),
      value(8, 'gradient', { of: 0, producer: 5, norm: 16, non_finite: 2, min: null, max: null, mean: null }),
    ],
    nodes: [
      node(0, 'linear', '0', 'forward', [1, 0, null], [2]),
      node(1, 'relu', '1', 'forward', [2], [3]),
      node(2, 'mean', 'loss', 'forward', [3], [4]),
      node(3, 'spread', 'loss', 'backward', [4], [5]),
      node(4, 'relu_dx', '1', 'backward', [5, 3], [6]),
      node(5, 'matmul', '0', 'backward', [6, 1], [8]),
      node(6, 'sgd_update', 'optimizer', 'update', [0, 8], [7]),
      node(7, 'linear', '0', 'forward', [1, 0, null], [2], { batch: 1 }),
      node(8, 'linear', '0', 'forward', [1, 0, null], [2], { step: 6 }),
    ],
    samples: [],
  };
}

const ids = (list) => list.map((n) => n.id);

test('a part of a step has the ops of its phases, of one batch, of one step', () => {
  const r = step();
  assert.deepEqual(ids(nodesOf(r, 5)), [0, 1, 2]);
  assert.deepEqual(ids(nodesOf(r, 5, { part: 'backward' })), [3, 4, 5]);
  assert.deepEqual(ids(nodesOf(r, 5, { part: 'both', batch: 1 })), [7]);
  assert.deepEqual(ids(nodesOf(r, 5, { part: 'all', batch: 1 })), [6, 7], 'the update is of all batches');
  assert.deepEqual(ids(nodesOf(r, 6)), [8]);
  assert.ok(Object.values(PARTS).every((p) => p.phases.length > 0));
});

test('layers are boxes with their types, and parameters are within them', () => {
  const r = step();
  const g = model(graphNodes(r, nodesOf(r, 5), { 0: 'linear', 1: 'relu' }), { grain: 'layers', backward: true });
  assert.deepEqual(g.boxes.map((b) => b.title).sort(), ['input', 'linear 0', 'loss', 'relu 1']);
  assert.deepEqual(g.arrows.map((a) => `${a.from}>${a.to}`).sort(), ['f:linear 0>f:relu 1', 'f:relu 1>f:loss', 'nv1>f:linear 0']);
  const back = model(graphNodes(r, nodesOf(r, 5, { part: 'backward' })), { grain: 'layers', backward: true });
  assert.deepEqual(back.boxes.map((b) => b.id), ['b:loss (gradient)', 'b:1 (gradient)', 'b:0 (gradient)'], 'what it read of the forward part is no box');
  const ops = model(graphNodes(r, nodesOf(r, 5, { part: 'both' })), { grain: 'ops', backward: true });
  assert.deepEqual(ops.arrows.filter((a) => a.to === 'n4').map((a) => a.from).sort(), ['n1', 'n3']);
});

test('what there is to lay out is told before it is done', () => {
  const chain = (n) => ({ boxes: Array.from({ length: n }, (_, i) => ({ id: `n${i}` })), arrows: Array.from({ length: n - 1 }, (_, i) => ({ from: `n${i}`, to: `n${i + 1}` })), groups: [] });
  assert.equal(extentOf(chain(10)), 19);
  const skip = chain(10);
  skip.arrows.push({ from: 'n0', to: 'n9' });
  assert.equal(extentOf(skip), 28, 'an arrow over nine rows');
  const source = chain(10);
  source.boxes.push({ id: 'w' });
  source.arrows.push({ from: 'w', to: 'n8' });
  assert.equal(extentOf(source), 21, 'a weight stands by its reader');
  const circle = chain(3);
  circle.arrows.push({ from: 'n2', to: 'n0' });
  assert.ok(extentOf(circle) >= 6, 'a layer that is used twice');
  assert.equal(extentOf({ boxes: [], arrows: [] }), 0);
});

test('forward and backward are halves, and no arrow is lost', () => {
  const r = step();
  const graph = model(graphNodes(r, nodesOf(r, 5, { part: 'both' })), { grain: 'ops', backward: true });
  const h = halves(graph);
  assert.deepEqual(h.backward.boxes.map((b) => b.id), ['n3', 'n4', 'n5']);
  assert.equal(h.forward.boxes.length + h.backward.boxes.length, graph.boxes.length);
  assert.equal(h.forward.arrows.length + h.backward.arrows.length + h.between.length, graph.arrows.length);
  assert.ok(h.between.some((a) => a.from === 'n1' && a.to === 'n4'));
  assert.equal(h.forward.groups.length + h.backward.groups.length, graph.groups.length);
});

test('a box is coloured by its result, or by the worst in it', () => {
  const r = step();
  const [linear, relu] = graphNodes(r, nodesOf(r, 5)).filter((n) => n.node);
  assert.equal(figureOf(r, [linear, relu], 'zeros'), 0.5);
  assert.equal(figureOf(r, [linear], 'gradient'), 0.125);
  assert.equal(figureOf(r, [relu], 'gradient'), 0.25);
  const back = graphNodes(r, nodesOf(r, 5, { part: 'backward' }));
  assert.equal(figureOf(r, back.slice(0, 1), 'largest'), 9, 'the magnitude of the negative end');
  assert.equal(figureOf(r, back, 'nonfinite'), 2 / 8);
  const masked = { ...r, nodes: r.nodes.map((n) => (n.id === 1 ? { ...n, outputs: [3, 8] } : n)) };
  const both = graphNodes(masked, nodesOf(masked, 5)).filter((n) => n.id === 1);
  assert.deepEqual([figureOf(masked, both, 'largest'), figureOf(masked, both, 'nonfinite')], [3, 0.25], 'a second output is no result, but may be what is not finite');
  assert.equal(figureOf(r, back.slice(2), 'mean'), null, 'nothing is finite');
  assert.equal(figureOf(r, back.slice(1), 'gradient'), 0.125, 'what is passed on counts, not what a weight gets');
  assert.equal(gradientOf(r.values[7], r.values).id, 8, 'an update has the gradient that made it');
});

test('colours go from nothing to full, whatever the figures are', () => {
  for (const measure of Object.keys(MEASURES)) {
    for (const figures of [[], [null], [0], [1], [0, 0.5, 1], [0.25, null, 0.75]]) {
      const scale = scaleOf(figures, measure);
      for (const x of figures) if (x !== null) assert.ok(Math.abs(scale.at(x)) <= 1, `${measure} of ${x} is ${scale.at(x)}`);
      assert.ok(Number.isFinite(scale.low) && Number.isFinite(scale.high));
    }
  }
  const log = scaleOf([1e-6, 1e-3, 1], 'gradient');
  assert.deepEqual([log.low, log.high, log.at(1), log.at(0)], [1e-6, 1, 1, 0]);
  assert.ok(Math.abs(log.at(1e-3) - 0.54) < 1e-9);
  assert.ok(scaleOf([-4, 1], 'mean').at(-4) === -1 && scaleOf([-4, 1], 'mean').at(1) === 0.5);
  assert.ok(scaleOf([0, 1e-6], 'nonfinite').at(1e-6) >= 0.5, 'a single NaN is seen');
  assert.equal(MEASURES.nonfinite.show(1e-6), '< 1\u00a0% not finite');
});

test('the replay of a step is the one that holds it and has succeeded', () => {
  const items = [{ step: 9, steps: 4, state: 'failed' }, { step: 8, steps: 2, state: 'succeeded' }, { step: 12, steps: 1, state: 'running' }, { step: 11, steps: 2, state: 'failed' }];
  assert.equal(replayOf(items, 9), items[1]);
  assert.equal(replayOf(items, 10), items[0]);
  assert.equal(replayOf(items, 12), items[2]);
  assert.equal(replayOf(items, 13), null);
  assert.equal(lastStep({ progress: { step: 2 }, error: { step: 3 } }), 3);
  assert.equal(lastStep({}), 0);
});

test('progress, verdict and differences are sentences', () => {
  assert.equal(progressText({ state: 'queued' }), 'Waiting for its turn');
  assert.match(progressText({ state: 'running', progress: { phase: 'forward', done: 1200, total: 3000 } }), /1,200 of 3,000 steps/);
  assert.match(progressText({ state: 'running', progress: null }), /Starting/);
  const c = { tensors: 1, bytes: 2048, recorded_points: 2, checkpoints: 1, until_step: 40 };
  assert.match(comparedText({ compared: c }), /1 tensor \(2 KiB\).*up to step 40: 2 points and 1 checkpoint\./);
  assert.match(comparedText({ compared: { ...c, recorded_points: 0, checkpoints: 0 } }), /nothing/);
  assert.match(comparedText({ compared: c, weights: { compared: true, by: 'point', step: 41 } }), /weights were tested by what came of them by step 41\.$/);
  assert.match(comparedText({ compared: c, weights: { compared: true, by: 'checkpoint', step: 40 } }), /weights were tested by the checkpoint of step 40\.$/);
  assert.match(comparedText({ compared: c, weights: { compared: true, by: 'no_update', step: 40 } }), /its update did not happen and no weights changed\.$/);
  assert.match(comparedText({ compared: c, weights: { compared: false, by: null, step: null }, not_compared: 'the weights after step 40 could not be compared' }), /\. The weights after step 40 could not be compared\.$/);
  assert.deepEqual([true, false, null].map((identical) => verdictText({ identical })), ['Bit-identical', 'Not the same bits', 'The same bits, as far as they could be compared']);
  assert.match(inexactText({ fingerprint: { recorded: 'avx2', here: 'avx512' } }), /other numerics.*: avx2 then, avx512 here/);
  assert.doesNotMatch(inexactText({ fingerprint: { recorded: 'avx2', here: 'avx2' } }), /avx2/, 'an attempt before was under others');
  const d = { step: 5, what: 'parameter', name: '0.weight', between: ['eager', 'graph'], values: [0.25, 'NaN'], index: 17 };
  assert.equal(differenceText(d), 'parameter 0.weight, element 17, at step 5: 0.25 eager, NaN graph');
  assert.equal(differenceText({ ...d, what: 'loss', name: 'loss', index: null }), 'loss, at step 5: 0.25 eager, NaN graph');
  assert.equal(differenceText({ ...d, what: 'point', name: 'train/loss', between: ['recorded', 'replayed'], values: [0.25, null], index: null }), 'point train/loss, at step 5: 0.25 recorded, nothing replayed');
});

test('a value has a name that tells where it is from', () => {
  const r = step();
  assert.deepEqual([0, 2, 4, 5, 8].map((id) => nameOf(r, id)), ['0.weight', 'linear in 0', 'loss', 'gradient of relu in 1', 'gradient of 0.weight']);
});

test('a histogram is a path of bars, none of them higher than its box', () => {
  assert.equal(barsPath([4, 0, 1], 10), 'M0 10v-10h1V10zM2 10v-5h1V10z');
  assert.equal(barsPath([0], 10), '');
});

test('samples come as in the batch or the worst first, those to blame before all', () => {
  const sample = (row, loss, more = {}) => ({ id: row, step: 5, batch: 0, row, loss, label: 'a', prediction: 'a', ...more });
  const r = { samples: [sample(0, 0.1), sample(1, 2, { prediction: 'b' }), sample(2, 'NaN'), sample(3, null), sample(0, 9, { batch: 1 }), sample(0, 9, { step: 6 })] };
  const rows = (options) => samplesOf(r, 5, options).map((s) => s.row);
  assert.deepEqual(rows({}), [0, 1, 2, 3]);
  assert.deepEqual(rows({ order: 'loss' }), [2, 1, 0, 3]);
  assert.deepEqual(rows({ order: 'loss', culprit: [3] }), [3, 2, 1, 0]);
  assert.deepEqual(samplesOf(r, 5).map((s) => s.wrong), [false, true, false, false]);
  assert.deepEqual(samplesOf({}, 5), []);
});
