// What is sent to a trained model, and how its answers are told apart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerKind, bodyOf, firstValue, inputColumns, mediaType, rowOf, topOf } from '../../web/lib/predict.js';

const COLUMNS = [
  { name: 'area', type: 'number', min: 20, max: 400, mean: 123.456 },
  { name: 'share', type: 'number', min: 0.5, max: 1, mean: 0.123456 },
  { name: 'district', type: 'category', categories: ['north', 'south'] },
  { name: 'note', type: 'ignored' },
  { name: 'price', type: 'number' },
];

test('a form has the features, and neither the target nor what is ignored', () => {
  const names = (data) => inputColumns({ columns: COLUMNS }, data).map((c) => c.name);
  assert.deepEqual(names({ features: ['*'], target: ['price'] }), ['area', 'share', 'district']);
  assert.deepEqual(names({ features: [], target: 'price' }), ['area', 'share', 'district']);
  assert.deepEqual(names({ features: ['area', 'note'], target: ['price'] }), ['area']);
  assert.deepEqual(inputColumns(undefined, undefined), []);
});

test('fields begin in the middle of what a column holds', () => {
  assert.deepEqual(COLUMNS.map(firstValue), ['123', '0.1235', 'north', '', '']);
});

test('a row has numbers as numbers, and null for what is missing', () => {
  assert.deepEqual(rowOf(COLUMNS.slice(0, 3), { area: ' 12.5 ', share: '', district: '7' }), { area: 12.5, share: null, district: '7' });
  assert.deepEqual(rowOf(COLUMNS.slice(0, 1), { area: 'many' }), { area: 'many' }, 'the server says what is wrong with it');
});

test('pasted JSON is a request, a list of inputs, or one input', () => {
  assert.deepEqual(bodyOf('{"inputs": [1], "outputs": 1}'), { inputs: [1], outputs: 1 });
  assert.deepEqual(bodyOf('[[1, 2]]'), { inputs: [[1, 2]] });
  assert.deepEqual(bodyOf('{"area": 1}'), { inputs: [{ area: 1 }] });
  assert.deepEqual(bodyOf('null'), { inputs: [null] });
  assert.throws(() => bodyOf('{'), SyntaxError);
});

test('files go out under their own type', () => {
  assert.equal(mediaType({ type: 'image/png', name: 'x' }), 'image/png');
  assert.equal(mediaType({ type: '', name: 'a.b.JPEG' }), 'image/jpeg');
  assert.equal(mediaType({ type: '', name: 'x.npy' }), 'application/x-npy');
  assert.equal(mediaType({ type: 'image/gif', name: 'x.gif' }), null);
  assert.equal(mediaType({ type: '', name: '' }), null);
});

test('answers are told apart by what they hold', () => {
  assert.equal(answerKind({ tags: [] }), 'tags');
  assert.equal(answerKind({ values: { price: 1 } }), 'values');
  assert.equal(answerKind({ text: '' }), 'text');
  assert.equal(answerKind({ label: 'cat' }), 'classes');
  assert.deepEqual(topOf({ label: 'cat', probability: 0.9 }), [{ label: 'cat', probability: 0.9 }]);
  assert.equal(topOf({ label: 'cat', top: [{ label: 'cat' }, { label: 'dog' }] }).length, 2);
});
