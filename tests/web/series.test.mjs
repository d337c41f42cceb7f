// Which curves stand together, and the graph as boxes and arrows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { model, sizes } from '../../web/lib/graphmodel.js';
import { charts, colour, parts } from '../../web/lib/series.js';

test('the splits of one measure share a chart, results come first', () => {
  const groups = charts(['train/lr', 'system/cpu', 'val/loss', 'train/accuracy', 'train/loss', 'train/grad_norm', 'val/accuracy', 'test/loss']);
  assert.deepEqual(groups.map((g) => g.name), ['loss', 'accuracy', 'grad_norm', 'lr', 'system/cpu']);
  assert.deepEqual(groups[0].series, ['train/loss', 'val/loss', 'test/loss']);
  assert.deepEqual(parts('train/a/b'), { chart: 'a/b', split: 'train' });
  assert.deepEqual(parts('loss'), { chart: 'loss', split: '' });
});

test('train and validation never have one colour', () => {
  assert.notEqual(colour('train/loss'), colour('val/loss'));
  assert.equal(colour('val/loss'), colour('val/accuracy'));
});

const NODES = [
  { id: 1, op: 'input', layer: null, shape: 'float32[64, 4]', inputs: [] },
  { id: 2, op: 'parameter', name: 'a.weight', layer: 'a', shape: 'float32[8, 4]', inputs: [] },
  { id: 3, op: 'linear', layer: 'a', shape: 'float32[64, 8]', inputs: [1, 2, null] },
  { id: 4, op: 'cross_entropy', layer: null, shape: 'float32[]', inputs: [3] },
  { id: 6, op: 'state', name: 'a.weight.exp_avg', layer: 'optimizer', shape: 'float32[8, 4]', inputs: [] },
  { id: 5, op: 'matmul', layer: 'a', shape: 'float32[8, 4]', inputs: [4, 3, 6, 99], backward: true },
];

test('layers are one box each, with arrows between them only', () => {
  const { boxes, arrows, groups } = model(NODES);
  assert.deepEqual(boxes.map((b) => b.title), ['input', 'a', 'cross_entropy']);
  assert.equal(boxes[1].text, '64 × 8');
  assert.equal(boxes[1].kind, 'op');
  assert.deepEqual(arrows.map((a) => [a.from, a.to]), [['n1', 'f:a'], ['f:a', 'n4']]);
  assert.deepEqual(groups, []);
});

test('ops stand in the group of their layer, the gradient apart from it', () => {
  const { boxes, arrows, groups } = model(NODES, { grain: 'ops', backward: true });
  assert.equal(boxes.length, 6);
  assert.equal(boxes.find((b) => b.id === 'n2').title, 'a.weight');
  assert.deepEqual(groups.map((g) => g.title), ['a', 'optimizer', 'a (gradient)']);
  assert.ok(arrows.every((a) => boxes.some((b) => b.id === a.from) && boxes.some((b) => b.id === a.to)), 'every arrow has two ends');
});

test('a graph without nodes, and nodes without inputs, are no trouble', () => {
  assert.deepEqual(model([]), { boxes: [], arrows: [], groups: [] });
  assert.equal(model([{ id: 0, op: 'x', shape: null }]).boxes.length, 1);
});

test('shapes are read in both forms', () => {
  assert.equal(sizes('float32[64, 10]'), '64 × 10');
  assert.equal(sizes('float32[]'), 'scalar');
  assert.equal(sizes([null, 3]), 'B × 3');
});
