// The leaderboard's columns, what stands in them, and which end of them is the better one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_COLUMNS, cellText, columnsOf, columnsText, differences, headOf, isHighBetter, isShare, seriesOf, sortsOf } from '../../web/lib/leaderboard.js';
import { bestPoint, bestSeries } from '../../web/lib/series.js';

test('columns come from the address, each once; the usual ones are not written there', () => {
  assert.deepEqual(columnsOf(null), DEFAULT_COLUMNS);
  assert.deepEqual(columnsOf('/optimizer/lr,,test/accuracy,/optimizer/lr'), ['/optimizer/lr', 'test/accuracy']);
  assert.equal(columnsOf(Array.from({ length: 99 }, (_, i) => `/x/${i}`).join(',')).length, 24);
  assert.equal(columnsText(DEFAULT_COLUMNS), '');
  assert.equal(columnsText(['owner']), 'owner');
});

test('heads are words', () => {
  assert.equal(headOf('test/accuracy'), 'Test accuracy');
  assert.equal(headOf('val/mae'), 'Validation MAE');
  assert.equal(headOf('/optimizer/lr'), 'optimizer lr');
  assert.equal(headOf('/model/layers/3/p'), 'layers 3 p');
  assert.equal(headOf('/data/a~1b'), 'data a/b');
  assert.equal(headOf('created_at'), 'Created');
});

test('the better end of a column comes first', () => {
  assert.deepEqual(sortsOf('test/accuracy'), ['-test/accuracy', 'test/accuracy']);
  assert.deepEqual(sortsOf('test/loss'), ['test/loss', '-test/loss']);
  assert.deepEqual(sortsOf('/optimizer/lr'), ['/optimizer/lr', '-/optimizer/lr']);
  assert.deepEqual(sortsOf('progress'), []);
  for (const name of ['val/loss', 'test/mae', 'test/rmse', 'val/perplexity']) assert.ok(!isHighBetter(name), name);
  for (const name of ['val/accuracy', 'test/r2', 'test/f1', 'test/roc_auc']) assert.ok(isHighBetter(name), name);
});

test('cells tell shares, figures and settings apart', () => {
  const job = { summary: { 'test/accuracy': 0.91234, 'test/loss': 0.31, 'test/r2': 'NaN' }, columns: { '/optimizer/lr': 0.00001, '/data/dataset': 'iris', '/optimizer/betas': [0.9, 0.99], '/absent': null } };
  assert.equal(cellText(job, 'test/accuracy'), '91.23\u00a0%');
  assert.equal(cellText(job, 'test/loss'), '0.31');
  assert.equal(cellText(job, 'test/r2'), 'NaN');
  assert.equal(cellText(job, 'val/loss'), '–');
  assert.equal(cellText(job, '/optimizer/lr'), '1e-5');
  assert.equal(cellText(job, '/data/dataset'), 'iris');
  assert.equal(cellText(job, '/optimizer/betas'), '[0.9,0.99]');
  assert.equal(cellText(job, '/absent'), '–');
  assert.ok(isShare('top_3') && isShare('test/f1_macro') && !isShare('test/loss') && !isShare('roc_auc'));
});

test('series are found in all jobs, results first', () => {
  assert.deepEqual(seriesOf([{ summary: { 'train/loss': 1, 'val/loss': 1 } }, {}, { summary: { loss: 1, 'test/accuracy': 1 } }]), ['test/accuracy', 'val/loss', 'train/loss', 'loss']);
});

test('the best point is the first of the best, and never one that is not finite', () => {
  const columns = { step: [1, 2, 3, 4], value: [0.5, NaN, 0.2, 0.2], min: [0.5, NaN, 0.2, 0.2], max: [0.5, NaN, 0.9, 0.2] };
  assert.deepEqual(bestPoint(columns, false), { step: 3, value: 0.2 });
  assert.deepEqual(bestPoint(columns, true), { step: 3, value: 0.9 }, 'the extremes of a bucket count');
  assert.equal(bestPoint({ step: [1], value: [NaN], min: [NaN], max: [NaN] }, true), null);
});

test('a job that keeps no best weights has none to offer', () => {
  assert.equal(bestSeries({ train: { keep: { best: 'val/loss' } } }), 'val/loss');
  assert.equal(bestSeries({ train: { keep: { last: 1, best: 'none' } } }), '');
  assert.equal(bestSeries({ kind: 'external' }), '');
});

test('groups are told apart by what differs among them', () => {
  const groups = [{ spec_diff: { '/model/layers/0': 'relu', '/optimizer/lr': 0.1, '/mode': 'graph' } }, { spec_diff: { '/optimizer/lr': 0.2, '/mode': 'graph' } }];
  assert.deepEqual(differences(groups), [
    [{ pointer: '/optimizer/lr', value: 0.1 }, { pointer: '/model/layers/0', value: 'relu' }],
    [{ pointer: '/optimizer/lr', value: 0.2 }],
  ]);
  assert.deepEqual(differences([{ spec_diff: { '/mode': 'graph' } }]), [[]], 'one group differs from none');
  assert.deepEqual(differences([]), []);
});
