// Arithmetic behind pictures: common bins of histograms, round ticks, and the nearest point.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byParameter, heat } from '../../web/lib/heat.js';
import { nearest, niceTicks, rangeOf } from '../../web/lib/scales.js';

const sum = (list) => list.reduce((a, b) => a + b, 0);

test('histograms with bins of their own are spread over common ones, and lose nothing', () => {
  const map = heat({ steps: [0, 10], edges: [[0, 1, 2], [-2, 0, 2]], counts: [[3, 1], [5, 5]] }, 4);
  assert.deepEqual([map.low, map.high, map.steps], [-2, 2, [0, 10]]);
  assert.deepEqual(map.rows[0], [0, 0, 0.75, 0.25]);
  assert.deepEqual(map.rows[1], [0.25, 0.25, 0.25, 0.25]);
  const odd = heat({ steps: [0, 1], edges: [[-0.37, 0.11, 0.9], [-1, 0.5, 2.3]], counts: [[7, 11], [1, 2]] }, 48);
  for (const row of odd.rows) assert.ok(Math.abs(sum(row) - 1) < 1e-12);
});

test('a constant, an empty and a broken histogram are pictures, too', () => {
  const constant = heat({ steps: [0], edges: [[3, 3]], counts: [[9]] }, 5);
  assert.ok(constant.low < 3 && constant.high > 3);
  assert.equal(sum(constant.rows[0]), 1);
  assert.deepEqual(heat({ steps: [0], edges: [[0, 1]], counts: [[0]] }, 2).rows, [[0, 0]]);
  assert.equal(heat({ steps: [], edges: [], counts: [] }), null);
  assert.equal(heat({ steps: [0], edges: [[NaN, NaN]], counts: [[1]] }), null);
});

test('a weight and its gradient stand together, the weight first', () => {
  assert.deepEqual(byParameter(['gradients/0.weight', 'weights/0.weight', 'weights/1.bias']), [
    { parameter: '0.weight', names: ['weights/0.weight', 'gradients/0.weight'] },
    { parameter: '1.bias', names: ['weights/1.bias'] },
  ]);
});

test('ticks are round and lie within the range', () => {
  assert.deepEqual(niceTicks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(niceTicks(-37, 120, 4), [0, 50, 100]);
  assert.deepEqual(niceTicks(3, 3), [3]);
  assert.deepEqual(niceTicks(NaN, 1), []);
  for (const [low, high] of [[0.1, 0.3], [-1e-9, 1e-9], [1e6, 3e7]]) {
    const ticks = niceTicks(low, high, 5);
    assert.ok(ticks.length >= 2 && ticks.length <= 8, `${ticks}`);
    assert.ok(ticks.every((t) => t >= low - 1e-12 && t <= high + 1e-12));
  }
});

test('a range has room, and is one even for a single value', () => {
  const [low, high] = rangeOf([2, NaN, 4]);
  assert.ok(low < 2 && high > 4);
  assert.ok(rangeOf([5])[0] < 5 && rangeOf([5])[1] > 5);
  assert.ok(rangeOf([0])[0] < 0);
  assert.deepEqual(rangeOf([]), [0, 1]);
});

test('the nearest point is found by the picture’s own units', () => {
  assert.equal(nearest([0, 10], [0, 0], 4, 0, 1, 1), 0);
  assert.equal(nearest([0, 10], [0, 0], 6, 0, 1, 1), 1);
  assert.equal(nearest([0, 10], [5, 0], 0, 0, 10, 1), 1, 'a step is ten times as wide as it is high');
  assert.equal(nearest([], [], 0, 0, 1, 1), -1);
});
