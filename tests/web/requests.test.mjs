// What goes out to the server, and how its refusals come back.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Problem, datasets, jobs, models, onSignInNeeded, sweeps } from '../../web/api.js';

let asked; // requests, in order
let answer; // what the server says

beforeEach(() => {
  asked = [];
  answer = () => new Response('{}', { status: 200 });
  globalThis.fetch = async (address, options) => {
    asked.push({ address, ...options });
    return answer(address, options);
  };
});

test('names go into addresses as they are, whatever is in them', async () => {
  await datasets.get('a/../b?c');
  await models.remove('x y');
  await jobs.histogram('J', 'weights/0.weight', 200);
  assert.deepEqual(asked.map((r) => r.address), ['/api/v1/datasets/a%2F..%2Fb%3Fc', '/api/v1/models/x%20y', '/api/v1/jobs/J/histograms?name=weights%2F0.weight&max=200']);
});

test('documents are JSON, pictures go out as they are', async () => {
  await datasets.prepare('iris', { columns: { id: 'ignored' } });
  assert.equal(asked[0].headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(asked[0].body), { format: { columns: { id: 'ignored' } } });
  const body = new Uint8Array([137, 80]);
  await jobs.predict('J', { body, type: 'image/png' }, { checkpoint: 'best', top: 5 });
  assert.equal(asked[1].address, '/api/v1/jobs/J/predict?checkpoint=best&top=5');
  assert.equal(asked[1].headers['content-type'], 'image/png');
  assert.equal(asked[1].body, body);
  await sweeps.create({ metric: 'm' }, 'K1');
  assert.equal(asked[2].headers['idempotency-key'], 'K1', 'sent twice it is made once');
});

test('a refusal carries every fault with its pointer', async () => {
  const problem = { title: 'Invalid', detail: 'one fault', errors: [{ pointer: '/name', detail: 'is taken' }] };
  answer = () => new Response(JSON.stringify(problem), { status: 409, headers: { 'content-type': 'application/problem+json' } });
  await assert.rejects(datasets.create({ name: 'x' }), (e) => e instanceof Problem && e.status === 409 && e.message === 'one fault' && e.errors[0].pointer === '/name');
});

test('an answer that is no problem document, and no answer at all, are refusals, too', async () => {
  answer = () => new Response('<h1>Bad gateway</h1>', { status: 502 });
  await assert.rejects(jobs.fork('J', { from: 'best' }), (e) => e.status === 502 && /502/.test(e.message) && e.errors.length === 0);
  answer = () => {
    throw new TypeError('failed to fetch');
  };
  await assert.rejects(models.list(), (e) => e.status === 0 && /does not answer/.test(e.message));
});

test('a missing token leads to the sign-in', async () => {
  let needed = 0;
  onSignInNeeded(() => needed++);
  answer = () => new Response('{}', { status: 401 });
  await assert.rejects(datasets.list());
  assert.equal(needed, 1);
});

class FakeUpload extends EventTarget {
  static last;

  constructor() {
    super();
    FakeUpload.last = this;
    this.upload = {};
    this.headers = {};
  }

  open(method, address) {
    Object.assign(this, { method, address });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  send(body) {
    this.body = body;
  }

  abort() {
    this.onabort();
  }

  answers(status, text) {
    Object.assign(this, { status, responseText: text });
    this.onload();
  }
}

test('a file is sent whole, tells how far it is, and can be called back', async () => {
  globalThis.XMLHttpRequest = FakeUpload;
  const file = { name: 'Test set.csv', size: 10 };
  const seen = [];
  const sent = datasets.upload('iris', file, { onProgress: (bytes) => seen.push(bytes) });
  assert.deepEqual([FakeUpload.last.method, FakeUpload.last.address, FakeUpload.last.body], ['PUT', '/api/v1/datasets/iris/files/Test%20set.csv', file]);
  FakeUpload.last.upload.onprogress({ loaded: 4 });
  FakeUpload.last.answers(201, '{}');
  await sent;
  assert.deepEqual(seen, [4]);

  const refused = datasets.upload('iris', file, {});
  FakeUpload.last.answers(413, '{"title": "Too large", "detail": "at most 1 GiB"}');
  await assert.rejects(refused, (e) => e.status === 413 && e.message === 'at most 1 GiB');

  const stop = new AbortController();
  const stopped = datasets.upload('iris', file, { signal: stop.signal });
  stop.abort();
  await assert.rejects(stopped, { name: 'AbortError' });
});
