// What the pages about data sets work out by themselves: names, documents, shares, and the first job.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FORMATS, balance, corrected, documentOf, fractionOf, imbalance, isBusy, layoutText, nameFrom, startingJob } from '../../web/lib/datasets.js';

test('a name is made of an address or a file, without endings and odd letters', () => {
  assert.equal(nameFrom('https://example.org/data/Iris%20Data.csv.gz?download=1'), 'iris-data');
  assert.equal(nameFrom('cifar-10-python.tar.gz'), 'cifar-10-python');
  assert.equal(nameFrom('../../etc/passwd'), 'passwd');
  assert.equal(nameFrom('photographs/birds/'), 'birds');
  assert.equal(nameFrom('%E0%A4%A.csv'), 'e0-a4-a', 'what is badly encoded is taken as it is');
  assert.equal(nameFrom('....'), '');
  assert.equal(nameFrom(`${'x'.repeat(99)}.zip`).length, 64);
  assert.equal(nameFrom(undefined), '');
});

test('of each format it is said what its files look like', () => {
  for (const [type] of FORMATS) assert.ok(layoutText(type).length > 20, type);
  assert.equal(layoutText('unknown'), '');
});

const VALUES = { name: ' houses ', url: '', sha256: '', folder: '', type: 'auto', header: '', delimiter: '', image_size: '', test: '' };
const NO_COLUMNS = { path_column: '', label_column: '', text_column: '' };

test('the form sends only what was filled in', () => {
  assert.deepEqual(documentOf('upload', VALUES, NO_COLUMNS), { name: 'houses' });
  assert.deepEqual(documentOf('url', { ...VALUES, url: ' http://a/x.csv ' }, NO_COLUMNS), { name: 'houses', url: 'http://a/x.csv' });
  assert.deepEqual(documentOf('url', { ...VALUES, url: 'http://a/x.csv', sha256: 'ab' }, NO_COLUMNS), { name: 'houses', url: 'http://a/x.csv', sha256: 'ab' });
  assert.deepEqual(documentOf('url', { ...VALUES, url: 'http://a/1\nhttp://a/2' }, NO_COLUMNS).files, [{ url: 'http://a/1' }, { url: 'http://a/2' }]);
  assert.deepEqual(documentOf('folder', { ...VALUES, folder: 'birds', type: 'image_folder', image_size: '64', test: '0.2' }, NO_COLUMNS), {
    name: 'houses',
    folder: 'birds',
    format: { type: 'image_folder', image_size: [64, 64], test: 0.2 },
  });
  assert.deepEqual(documentOf('upload', { ...VALUES, header: 'no' }, { ...NO_COLUMNS, label_column: 'y' }).format, { header: 'no', label_column: 'y' });
});

test('corrections of types join those made before, and change nothing else', () => {
  const format = { type: 'table', delimiter: ';', columns: { id: 'ignored' } };
  assert.deepEqual(corrected(format, { zip: 'category' }), { type: 'table', delimiter: ';', columns: { id: 'ignored', zip: 'category' } });
  assert.deepEqual(corrected(undefined, { id: 'number' }), { columns: { id: 'number' } });
  assert.deepEqual(format.columns, { id: 'ignored' });
});

test('progress is a share where the size is known', () => {
  assert.equal(fractionOf({ state: 'fetching', progress: { done: 30, total: 120 } }), 0.25);
  assert.equal(fractionOf({ state: 'fetching', progress: { done: 300, total: 120 } }), 1);
  assert.ok(Number.isNaN(fractionOf({ state: 'fetching', progress: { done: 30, total: 0 } })));
  assert.ok(Number.isNaN(fractionOf({ state: 'preparing', progress: null })));
  assert.equal(fractionOf({ state: 'ready' }), 1);
  assert.ok(isBusy({ state: 'preparing' }) && !isBusy({ state: 'uploading' }));
});

test('classes are bars by the share of the largest', () => {
  const classes = [{ name: 'a', train: 60, test: 20 }, { name: 7, train: 20 }];
  assert.deepEqual(balance(classes), [
    { name: 'a', train: 60, test: 20, trainShare: 0.75, testShare: 0.25 },
    { name: '7', train: 20, test: 0, trainShare: 0.25, testShare: 0 },
  ]);
  assert.equal(imbalance(classes), 4);
  assert.ok(Number.isNaN(imbalance([{ train: 3 }])));
  assert.deepEqual(balance([]), []);
});

test('the first job fits the kind of the data', () => {
  const columns = [{ name: 'a', type: 'number', missing: 2 }, { name: 'note', type: 'text' }, { name: 'kind', type: 'category', categories: ['x', 'y', 'z'] }];
  const table = startingJob({ name: 't', info: { kind: 'table', columns } });
  assert.deepEqual(table.data.target, ['kind']);
  assert.equal(table.data.missing, 'mean');
  assert.equal(table.model.layers.at(-1).out_features, 3);
  assert.equal(table.loss, 'cross_entropy');
  assert.deepEqual(table.data.split, { validation: 0.1, test: 0.2, by: 'random' }, 'without a test part one is kept back');

  const figures = startingJob({ name: 't', info: { kind: 'table', columns: columns.slice(0, 1) } });
  assert.equal(figures.loss, 'mse');
  assert.deepEqual(figures.data.standardize, ['features', 'target']);
  assert.equal(figures.data.missing, 'drop', 'a missing target cannot be filled');

  const info = { kind: 'images', image: { channels: 3, height: 32, width: 32 }, classes: ['a', 'b'], parts: { test: { samples: 5 } } };
  const pictures = startingJob({ name: 'p', info, summary: { channels: [{ mean: 0.491234, std: 0.2 }, { mean: 0.4, std: 0.2 }, { mean: 0.3, std: 0.2 }] } });
  assert.deepEqual(pictures.data.transforms, [{ type: 'normalize', mean: [0.4912, 0.4, 0.3], std: [0.2, 0.2, 0.2] }]);
  assert.equal(pictures.data.split.test, undefined);
  const sizes = startingJob({ name: 'p', info: { ...info, image: { channels: 3, height: 0, width: 0 } } });
  assert.deepEqual(sizes.data.transforms.map((t) => t.type), ['resize', 'center_crop']);

  assert.equal(startingJob({ name: 'l', info: { kind: 'text', characters: 60 } }).model.layers.at(-1).out_features, 62);
  assert.ok(startingJob({ name: 'l', info: { kind: 'tagged_text', classes: ['A', 'B'] } }).model.layers.some((l) => l.bidirectional));
  assert.ok(startingJob({ name: 'new' }).model.layers.length > 0, 'nothing known, and still something to begin with');
});
