// Sweeps: the form's way to a document and back, the best so far, and the places on the axes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axesOf, axisLabels, bestSoFar, childrenOf, gridSize, isSweep, isWithin, listOf, literal, metricsOf, nudged, ranked, rowsOf, spaceOf, spaceText, sweepDocument, valuesOf } from '../../web/lib/sweeps.js';

test('values are JSON where they are some, else text', () => {
  assert.equal(literal(' 1e-3 '), 0.001);
  assert.equal(literal('relu'), 'relu');
  assert.equal(literal('true'), true);
  assert.deepEqual(literal('[1, 2]'), [1, 2]);
});

test('commas within brackets and quotes do not part', () => {
  assert.deepEqual(listOf('16, [1, 2], relu, "a, b", {"x": 1, "y": [2, 3]}'), [16, [1, 2], 'relu', 'a, b', { x: 1, y: [2, 3] }]);
  assert.deepEqual(listOf(''), []);
  assert.deepEqual(listOf('1,,2,'), [1, 2]);
  assert.deepEqual(listOf('"a \\", b", 2'), ['a ", b', 2]);
});

test('metrics are those that the base has', () => {
  const metrics = ['accuracy', 'top_3'];
  assert.deepEqual(metricsOf({}, { metrics, samples: { train: 9, validation: 0, test: 3 } }), ['test/accuracy', 'test/top_3', 'test/loss', 'train/loss']);
  assert.equal(metricsOf({}, { metrics, samples: { train: 9, validation: 1, test: 0 } })[0], 'val/accuracy');
  assert.deepEqual(metricsOf({}, { metrics: [], samples: { train: 9, validation: 0, test: 0 } }), ['train/loss']);
});

test('before the data are there the base alone tells its metrics', () => {
  const metrics = ['mae', { type: 'top_k', k: 3 }];
  assert.deepEqual(metricsOf({ metrics, data: { split: { validation: 0.1 } } }, {}), ['val/mae', 'val/loss', 'test/mae', 'test/loss', 'train/loss']);
  assert.deepEqual(metricsOf({ data: {} }, {}), ['test/loss', 'train/loss']);
});

test('rows become a space, and a space rows', () => {
  const rows = [{ pointer: ' /optimizer/lr', kind: 'log_uniform', text: '1e-4, 0.1' }, { pointer: '', kind: 'values', text: '1' }, { pointer: '/mode', kind: 'values', text: 'graph, eager' }];
  const space = spaceOf(rows);
  assert.deepEqual(space, { '/optimizer/lr': { log_uniform: [0.0001, 0.1] }, '/mode': { values: ['graph', 'eager'] } });
  assert.deepEqual(spaceOf(rowsOf(space)), space);
  assert.ok(Number.isNaN(gridSize(space)), 'a range has no number of values');
  assert.equal(gridSize({ a: { values: [1, 2, 3] }, b: { values: [1, 2] } }), 6);
  assert.equal(spaceText({ quantized: [16, 64, 16] }), '16 … 64, steps of 16');
  assert.equal(spaceText({ values: ['a', 2] }), 'a, 2');
});

test('the document has what its strategy needs, and no more', () => {
  const values = { name: '', metric: 'val/loss', goal: 'min', strategy: 'grid', max_jobs: '9', parallel: '3', seed: '1', min_steps: '', eta: '3', median: true };
  const rows = [{ pointer: '/seed', kind: 'values', text: '1, 2' }];
  assert.deepEqual(sweepDocument(values, rows, { a: 1 }), { base: { a: 1 }, space: { '/seed': { values: [1, 2] } }, metric: 'val/loss', goal: 'min', strategy: 'grid', max_jobs: 9, parallel: 3 });
  const asha = sweepDocument({ ...values, strategy: 'asha', min_steps: '100' }, rows, {});
  assert.deepEqual(asha.asha, { min_steps: 100, eta: 3, median: true });
  assert.equal(asha.seed, 1);
  assert.deepEqual(sweepDocument(valuesOf(asha, values), rowsOf(asha.space), {}), asha, 'the form shows a sweep as it was');
  assert.ok(isSweep(asha) && !isSweep({ model: {} }) && !isSweep(null));
});

const JOBS = [
  { id: 'c', index: 2, value: 0.5, params: { '/lr': 0.1, '/act': 'relu' } },
  { id: 'a', index: 0, value: 0.7, params: { '/lr': 0.001, '/act': 'tanh' } },
  { id: 'b', index: 1, value: 'NaN', params: { '/lr': 0.01, '/act': 'relu' } },
  { id: 'd', index: 3, value: null, params: { '/lr': 0.05 } },
];

test('the best so far goes one way, and leaves out what has no value', () => {
  assert.deepEqual(bestSoFar(JOBS, 'max').map((r) => [r.job, r.best]), [['a', 0.7], ['c', 0.7]]);
  assert.deepEqual(bestSoFar(JOBS, 'min').map((r) => [r.job, r.best]), [['a', 0.7], ['c', 0.5]]);
  assert.deepEqual(bestSoFar([], 'max'), []);
  assert.deepEqual(ranked(JOBS, 'max').map((j) => j.id), ['a', 'c', 'b', 'd']);
  assert.deepEqual(ranked(JOBS, 'min').map((j) => j.id), ['c', 'a', 'b', 'd']);
});

test('axes place every value between their ends', () => {
  const [lr, act, metric] = axesOf({ space: { '/lr': { log_uniform: [1e-4, 1] }, '/act': { values: ['relu', 'tanh', 'gelu'] } }, metric: 'val/loss', jobs: JOBS });
  assert.equal(lr.kind, 'log');
  assert.ok(Math.abs(lr.place(0.01) - 0.5) < 1e-12, 'halfway is the geometric mean');
  assert.equal(lr.place(0.001), 0);
  assert.ok(Number.isNaN(lr.place(undefined)));
  assert.deepEqual(act.categories, ['gelu', 'relu', 'tanh'], 'values that no job has had yet are there, too');
  assert.equal(act.place('tanh'), 1);
  assert.ok(Number.isNaN(act.place('selu')));
  assert.equal(metric.place(0.5), 0);
  assert.ok(Number.isNaN(metric.place('NaN')) && Number.isNaN(metric.place(null)));
  assert.deepEqual(axisLabels(act, String).map((l) => l.at), [0, 0.5, 1]);
  assert.equal(axisLabels(lr, (v) => v.toPrecision(3))[1].text, '0.0100');
  const [grid] = axesOf({ space: { '/lr': { values: [0.01, 0.003, 1e-4] } }, metric: 'm', jobs: [] });
  assert.deepEqual(grid.categories, ['0.0001', '0.003', '0.01'], 'numbers stand in their order');
  const [one] = axesOf({ space: { '/lr': { uniform: [0, 1] } }, metric: 'm', jobs: JOBS.slice(0, 1) });
  assert.equal(one.place(0.1), 0.5, 'a single value stands in the middle');
  assert.equal(axesOf({ space: {}, metric: 'm', jobs: [] }).length, 1);
});

test('brushes keep what lies within all of them', () => {
  assert.ok(isWithin([0.2, 0.8], { 0: [0.1, 0.3], 1: null }));
  assert.ok(!isWithin([0.2, 0.8], { 0: [0.1, 0.3], 1: [0, 0.5] }));
  assert.ok(!isWithin([NaN], { 0: [0, 1] }), 'a job without a value is not within');
  assert.ok(isWithin([NaN], {}));
});

test('arrow keys move a brush, Escape takes it away, other keys mean nothing', () => {
  assert.deepEqual(nudged(null, 'ArrowUp', false), [0.05, 1]);
  assert.deepEqual(nudged(null, 'ArrowDown', true), [0, 0.95]);
  assert.equal(nudged([0.05, 1], 'ArrowDown', false), null, 'the whole axis is no brush');
  assert.equal(nudged([0.2, 0.4], 'Escape', false), null);
  assert.equal(nudged([0.2, 0.4], 'Tab', false), undefined);
  const [low, high] = nudged([0.5, 0.52], 'ArrowUp', false);
  assert.ok(low <= high, 'its ends do not cross');
});

test('jobs are counted by how they stand', () => {
  const counts = { succeeded: 3, cancelled: 2, failed: 1, timed_out: 1, running: 1, starting: 1, queued: 4, planned: 7 };
  assert.deepEqual(childrenOf({ max_jobs: 20, counts }), { done: 7, failed: 2, running: 2, all: 20 });
  assert.deepEqual(childrenOf({ counts: { succeeded: 2 } }), { done: 2, failed: 0, running: 0, all: 2 });
  assert.deepEqual(childrenOf({}), { done: 0, failed: 0, running: 0, all: 0 });
});
