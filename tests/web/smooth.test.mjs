// Smoothing and the columns of live curves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, columns, earliest, emptyColumns, number, positions, rewind, smooth } from '../../web/lib/smooth.js';

test('smoothing is the average corrected for its start: a constant stays itself from the first point on', () => {
  for (const y of smooth([3, 3, 3, 3], 0.9)) assert.ok(Math.abs(y - 3) < 1e-12);
});

test('smoothing follows the recurrence by hand', () => {
  const w = 0.6;
  let last = 0;
  const given = [1, 4, 2, 8];
  const expected = given.map((y, i) => {
    last = last * w + (1 - w) * y;
    return last / (1 - w ** (i + 1));
  });
  assert.deepEqual(smooth(given, w), expected);
  assert.equal(smooth([1, 4], 0.5)[1], 3); // (0.5 * 0.5 + 0.5 * 4) / 0.75
});

test('a value that is not finite passes through smoothing and leaves the average alone', () => {
  const out = smooth([1, NaN, Infinity, 3], 0.5);
  assert.ok(Number.isNaN(out[1]));
  assert.equal(out[2], Infinity);
  assert.equal(out[3], smooth([1, 3], 0.5)[1]);
});

test('no smoothing changes nothing', () => {
  assert.deepEqual(smooth([1, 2, -0], 0), [1, 2, -0]);
});

test('the words for non-finite numbers are read as numbers', () => {
  assert.ok(Number.isNaN(number('NaN')));
  assert.equal(number('Infinity'), Infinity);
  assert.equal(number('-Infinity'), -Infinity);
  assert.ok(Number.isNaN(number(null)));
  assert.ok(Number.isNaN(number(undefined)));
  assert.equal(number(0), 0);
});

test('an answer becomes columns with its bad places marked', () => {
  const c = columns({ step: [1, 2, 3], time: [10, 20, 30], value: [1, 'NaN', 2], min: [1, 0.5, 2], max: [1, 4, 2], non_finite: [false, true, true], raw: false, total: 300 });
  assert.deepEqual(c.bad, [false, true, true]);
  assert.deepEqual(c.max, [1, 4, 2]);
  assert.equal(c.raw, false);
  assert.equal(c.total, 300);
});

test('columns do not share memory with the answer', () => {
  const answer = { step: [1], time: [1], value: [1] };
  append(columns(answer), [[2, 2, 2]]);
  assert.deepEqual(answer.step, [1]);
});

test('a point that comes twice counts once, and old ones are ignored', () => {
  const c = emptyColumns();
  assert.equal(append(c, [[10, 1, 0.5], [20, 2, 0.4]]), 2);
  assert.equal(append(c, [[10, 1, 0.5], [20, 2, 0.4], [30, 3, 'NaN']]), 1);
  assert.deepEqual(c.step, [10, 20, 30]);
  assert.deepEqual(c.bad, [false, false, true]);
  assert.equal(c.total, 3);
});

test('a rewind drops the points after its step, and the same steps may come again', () => {
  const c = emptyColumns();
  append(c, [[10, 1, 1], [20, 2, 2], [30, 3, 3]]);
  assert.equal(rewind(c, 20), 1);
  assert.equal(append(c, [[30, 9, 33]]), 1);
  assert.deepEqual(c.value, [1, 2, 33]);
  assert.deepEqual(Object.values(c).filter(Array.isArray).map((a) => a.length), [3, 3, 3, 3, 3, 3]);
  rewind(c, -1);
  assert.deepEqual(c.step, []);
});

test('relative time counts from the origin, wall time is the time, steps are steps', () => {
  const c = columns({ step: [5, 6], time: [1000, 3500], value: [1, 2] });
  assert.deepEqual(positions(c, 'step'), [5, 6]);
  assert.deepEqual(positions(c, 'relative'), [0, 2.5]);
  assert.deepEqual(positions(c, 'relative', 500), [0.5, 3]);
  assert.deepEqual(positions(c, 'wall'), [1000, 3500]);
  assert.equal(earliest([emptyColumns(), c]), 1000);
  assert.equal(earliest([]), undefined);
});
