// The live stream of a job: when it is opened, and when never again.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { follow } from '../../web/api.js';

let sources;

class FakeSource extends EventTarget {
  static CLOSED = 2;

  constructor(address) {
    super();
    this.address = address;
    this.readyState = 1;
    sources.push(this);
  }

  say(kind, data) {
    this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data) }));
  }

  close() {
    this.readyState = FakeSource.CLOSED;
  }
}

const isOpen = (source) => source.readyState !== FakeSource.CLOSED;

function setHidden(hidden) {
  document.hidden = hidden;
  document.dispatchEvent(new Event('visibilitychange'));
}

beforeEach(() => {
  sources = [];
  globalThis.EventSource = FakeSource;
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
});

test('after the end of a job nothing more is asked for, also when the page is seen again', () => {
  const heard = [];
  const stop = follow('J1', { event: (kind, data) => heard.push([kind, data]) });
  assert.equal(sources[0].address, '/api/v1/jobs/J1/events');
  sources[0].say('progress', { step: 3 });
  sources[0].say('end', {});
  assert.equal(isOpen(sources[0]), false);
  setHidden(true);
  setHidden(false);
  assert.equal(sources.length, 1);
  assert.deepEqual(heard, [['progress', { step: 3 }]]);
  stop();
});

test('a stream without an end is let go while the page is hidden, and opened again', () => {
  const stop = follow(null, { event() {} });
  setHidden(true);
  assert.equal(isOpen(sources[0]), false);
  setHidden(false);
  assert.equal(sources.length, 2);
  assert.equal(isOpen(sources[1]), true);
  stop();
  assert.equal(isOpen(sources[1]), false);
});

test('whatever happens to data sets and to jobs that go is passed on; a line that is no JSON is not', () => {
  const heard = [];
  let resyncs = 0;
  const stop = follow(null, { event: (kind, data) => heard.push([kind, data]), resync: () => resyncs++ });
  sources[0].say('dataset', { name: 'iris', state: 'ready' });
  sources[0].say('deleted', { job: 'J1' });
  sources[0].dispatchEvent(new MessageEvent('state', { data: '{"half' }));
  sources[0].say('reset', {});
  assert.deepEqual(heard, [['dataset', { name: 'iris', state: 'ready' }], ['deleted', { job: 'J1' }]]);
  assert.equal(resyncs, 1, 'older events are gone, so all is asked for again');
  stop();
});
