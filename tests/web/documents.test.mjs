// Specs as documents: places of faults, differences, and text that people can read.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { compare, layerText, leaves } from '../../web/lib/diff.js';
import { locate, offset, positions, pretty } from '../../web/lib/locate.js';
import { localPath } from '../../web/lib/route.js';

const TEXT = `{
  "name": "a \\" b",
  "model": {"layers": [
    {"type": "conv2d", "kernel_size": 3},
    "relu"
  ]},
  "a/b~c": [1, -2.5e3, null, true]
}`;

test('a pointer leads to the line and column of the member', () => {
  assert.deepEqual(locate(TEXT, '/model/layers/0/kernel_size'), { line: 4, column: 24, exact: true });
  assert.deepEqual(locate(TEXT, '/model/layers/1'), { line: 5, column: 5, exact: true });
  assert.deepEqual(locate(TEXT, '/a~1b~0c/3'), { line: 7, column: 30, exact: true });
  assert.deepEqual(locate(TEXT, ''), { line: 1, column: 1, exact: true });
});

test('a field that is missing is shown at its parent', () => {
  assert.deepEqual(locate(TEXT, '/model/layers/0/out_channels'), { line: 4, column: 5, exact: false });
  assert.deepEqual(locate(TEXT, '/loss'), { line: 1, column: 1, exact: false });
});

test('every place holds the text of its value', () => {
  const document = JSON.parse(TEXT);
  for (const [pointer, place] of positions(TEXT)) {
    const path = pointer.split('/').slice(1).map((k) => k.replaceAll('~1', '/').replaceAll('~0', '~'));
    const value = path.reduce((v, k) => v[k], document);
    assert.deepEqual(JSON.parse(TEXT.slice(place.start, place.end)), value, pointer);
  }
});

test('broken text never fails, and gives the places before the break', () => {
  for (let n = 0; n < TEXT.length; n++) positions(TEXT.slice(0, n));
  for (const text of ['', '{', '{"a" 1}', '[1,,2]', '{"a": "unended', '\u0000', '{"a": [1, 2', '{"a": "\\']) locate(text, '/a/b');
  assert.equal(locate('{\n "a": 1,\n "b": oops }', '/a').line, 2);
});

test('line and column lead back to the offset', () => {
  assert.equal(TEXT.slice(offset(TEXT, 5, 5), offset(TEXT, 5, 5) + 6), '"relu"');
  assert.equal(offset(TEXT, 999, 1), TEXT.length);
});

test('pretty text says the same, and short things stay on one line', () => {
  const folder = new URL('../../web/examples/', import.meta.url);
  for (const name of readdirSync(folder)) {
    const job = JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
    assert.deepEqual(JSON.parse(pretty(job)), job);
  }
  assert.equal(pretty({ a: [1, 2], b: {} }), '{\n  "a": [1, 2],\n  "b": {}\n}');
  assert.equal(pretty([]), '[]');
});

test('every example names itself as its file, and says what to expect', () => {
  const folder = new URL('../../web/examples/', import.meta.url);
  const names = readdirSync(folder);
  assert.ok(names.length >= 3);
  for (const name of names) {
    const job = JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
    assert.equal(`${job.name}.json`, name);
    assert.match(job.notes, /expect/i);
  }
});

test('documents are compared field by field', () => {
  const rows = compare([{ a: 1, lr: 0.1, m: {} }, { a: 1, lr: 0.2, n: [1] }]);
  const differing = rows.filter((r) => r.differs);
  assert.deepEqual(differing.map((r) => r.pointer), ['/lr', '/n', '/m']);
  assert.deepEqual(rows.find((r) => r.pointer === '/n').values, [undefined, [1]]);
  assert.deepEqual(leaves({ 'a/b': { '~': 1 } }), new Map([['/a~1b/~0', 1]]));
});

test('a list is compared as a whole, also with an empty one', () => {
  const rows = compare([{ data: { transforms: [] } }, { data: { transforms: [{ type: 'normalize', mean: [0.286] }] } }]);
  assert.deepEqual(rows.map((r) => r.pointer), ['/data/transforms']);
  assert.equal(rows[0].differs, true);
});

test('a layer is a few words, and keeps the options that those leave out', () => {
  const init = { type: 'kaiming_uniform', mode: 'fan_in' };
  const conv = { type: 'conv2d', out_channels: 16, kernel_size: 3, padding: 1, stride: 1, bias: true, init };
  assert.deepEqual(layerText(conv), { head: 'conv2d 16, 3x3, padding 1', rest: { stride: 1, bias: true, init } });
  assert.equal(layerText({ type: 'max_pool2d', kernel_size: [2, 3], stride: [2, 1] }).head, 'max_pool2d 2x3, stride 2x1');
  assert.equal(layerText({ type: 'linear', out_features: 10, bias: false }).head, 'linear 10, bias false');
  assert.deepEqual(layerText('relu'), { head: 'relu', rest: {} });
});

test('null and an absent field differ', () => {
  assert.equal(compare([{ a: null }, {}])[0].differs, true);
});

test('after the sign-in only paths of this site are gone to', () => {
  assert.equal(localPath('/jobs/1?tab=log'), '/jobs/1?tab=log');
  for (const bad of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', '', null]) assert.equal(localPath(bad), '/');
});
