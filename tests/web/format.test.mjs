// Numbers, times and axes as people read them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../../web/lib/format.js';
import { durationLabels, linearLabels, logLabels } from '../../web/lib/ticks.js';

test('values have about four digits and never lose what they are', () => {
  const pairs = [[0.31267, '0.3127'], [12.3456, '12.35'], [1234.5, '1,235'], [0.00012, '1.2e-4'], [2.5e7, '2.5e7'], [0, '0'], [-0.5, '-0.5'], ['NaN', 'NaN'], [Infinity, 'Infinity'], [null, '–'], [undefined, '–']];
  for (const [given, text] of pairs) assert.equal(format.value(given), text);
});

test('durations fit their size', () => {
  const pairs = [[0.004, '4 ms'], [9.96, '10 s'], [42, '42 s'], [59.6, '1 min 00 s'], [200, '3 min 20 s'], [7500, '2 h 05 min'], [273600, '3 d 4 h'], [NaN, '–'], [-1, '–']];
  for (const [given, text] of pairs) assert.equal(format.duration(given), text);
});

test('progress says 100 % only at the end', () => {
  assert.equal(format.progress(0.9999), '99 %');
  assert.equal(format.progress(1), '100 %');
  assert.equal(format.progress(NaN), '–');
});

test('sizes, counts and shapes', () => {
  assert.equal(format.bytes(1536), '1.5 KiB');
  assert.equal(format.bytes(0), '0 B');
  assert.equal(format.percent(0.91234, 2), '91.23\u00a0%');
  assert.equal(format.percent(NaN), '–');
  assert.equal(format.short(1234567), '1.23 M');
  assert.equal(format.short(999), '999');
  assert.equal(format.count(1234567), '1,234,567');
  assert.equal(format.shape([null, 32, 28, 28]), 'B × 32 × 28 × 28');
  assert.equal(format.shape([]), 'scalar');
  assert.equal(format.shape(undefined), '–');
});

test('moments are seen from now', () => {
  const now = Date.parse('2026-03-12T12:00:00Z');
  assert.equal(format.ago(now - 3000, now), 'just now');
  assert.equal(format.ago('2026-03-12T11:55:00.000Z', now), '5 min ago');
  assert.match(format.ago('2024-03-01T11:55:00.000Z', now), /^(29 Feb|[12] Mar) 2024$/);
  assert.equal(format.ago(null, now), '–');
});

test('neighbouring labels of a linear axis differ', () => {
  for (const [start, step] of [[0, 0.5], [0.86, 0.01], [0, 500], [100000, 20000], [0, 2.5e-4], [6e-4, 1e-4], [1e8, 5e6], [-0.2, 0.1], [0.905, 0.0005]]) {
    const labels = linearLabels(Array.from({ length: 6 }, (_, i) => start + i * step));
    assert.equal(new Set(labels).size, 6, labels.join(' '));
  }
  assert.deepEqual(linearLabels([0, 0.5, 1]), ['0', '0.5', '1.0']);
  assert.deepEqual(linearLabels([9e-4, 1e-3]), ['9e-4', '1e-3']);
  assert.deepEqual(linearLabels([NaN, 1]), ['', '1']);
});

test('a label of a linear axis is the number it stands at', () => {
  for (const [start, step] of [[0.86, 0.01], [0, 500], [0, 2.5e-4], [1e8, 5e6]]) {
    for (let i = 0; i < 6; i++) {
      const at = start + i * step;
      const label = linearLabels(Array.from({ length: 6 }, (_, k) => start + k * step))[i];
      const read = label.endsWith('k') ? Number(label.slice(0, -1)) * 1000 : Number(label);
      assert.ok(Math.abs(read - at) <= step * 1e-6 + 1e-12, `${label} for ${at}`);
    }
  }
});

test('a logarithmic axis labels decades, and 2 and 5 where there is room', () => {
  assert.deepEqual(logLabels([0.1, 0.2, 0.3, 0.5, 1, 2]), ['0.1', '0.2', '', '0.5', '1', '2']);
  assert.deepEqual(logLabels([0.001, 0.002, 0.01, 0.1, 1, 10]), ['0.001', '', '0.01', '0.1', '1', '10']);
  assert.deepEqual(logLabels([0, -1]), ['', '']);
});

test('a time axis has one unit', () => {
  assert.deepEqual(durationLabels([0, 60, 120]), ['0 s', '60 s', '120 s']);
  assert.deepEqual(durationLabels([0, 300, 600]), ['0 min', '5 min', '10 min']);
});
