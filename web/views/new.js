// A new job: a ready example or a former job in an editor, the server's faults at their lines, and what the model would be.

import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { datasets, examples, jobs } from '../api.js';
import { startingJob } from '../lib/datasets.js';
import { locate, offset, pretty } from '../lib/locate.js';
import { go } from '../lib/route.js';
import { isSweep } from '../lib/sweeps.js';
import { Editor } from './editor.js';
import { Layers } from './layers.js';
import { ErrorBox, useLoaded } from './parts.js';
import { WarningList } from './warnings.js';

const CHECK_MS = 350; // after the last key until the server is asked
const DRAFT = 'draft'; // in the session's storage: a reload keeps the text

export function title() {
  return 'New job';
}

export function mount(el, params) {
  const from = params.query.get('from');
  const example = params.query.get('example');
  const dataset = params.query.get('dataset');
  render(html`<${NewJob} key=${`${from} ${example} ${dataset}`} from=${from} example=${example} dataset=${dataset} />`, el);
  return () => render(null, el);
}

/* Where the text comes from: a job, a data set, an example, or what was typed before. */
async function firstText({ from, example, dataset }) {
  if (from) return pretty((await jobs.get(from)).spec);
  if (dataset) return pretty(startingJob(await datasets.get(dataset)));
  if (example) return exampleText(example);
  const draft = sessionStorage.getItem(DRAFT);
  if (draft) return draft;
  const items = await examples.jobs();
  return items.length ? examples.text((items.find((e) => e.name === 'fashion-quick') || items[0]).name) : '{\n  \n}\n';
}

/* An example that is a sweep belongs on the page for those. */
async function exampleText(name) {
  const text = await examples.text(name);
  if (!isSweep(JSON.parse(text))) return text;
  go(`/new-sweep?example=${encodeURIComponent(name)}`, { replace: true });
  return null;
}

/* The server's opinion of TEXT, asked for when the typing pauses: {checked, problem, checking}. */
function useCheck(text) {
  const [state, setState] = useState({ checked: null, problem: null, checking: false });
  useEffect(() => {
    if (text === null) return undefined;
    const stop = new AbortController();
    setState((s) => ({ ...s, checking: true }));
    const timer = setTimeout(async () => {
      try {
        const answer = await jobs.check(text, stop.signal);
        setState({ checked: answer.checked || answer, problem: null, checking: false });
      } catch (problem) {
        if (!stop.signal.aborted) setState((s) => ({ checked: s.checked, problem, checking: false }));
      }
    }, CHECK_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  return state;
}

/* The faults of a problem with the places in TEXT: the server's own, else found by the pointer. */
function marksOf(problem, text) {
  return (problem?.errors || []).map((e) => {
    const found = e.line ? { line: e.line, column: e.column || 1 } : locate(text, e.pointer);
    return { ...found, pointer: e.pointer, detail: e.detail };
  });
}

function NewJob({ from, example, dataset }) {
  const first = useLoaded(() => firstText({ from, example, dataset }), `${from} ${example} ${dataset}`);
  const list = useLoaded(async () => ({ items: await examples.jobs() }), 'examples');
  const [text, setText] = useState(null);
  const [sent, setSent] = useState({ busy: false, error: null });
  const editor = useRef(null);
  const key = useRef(crypto.randomUUID?.() ?? String(Math.random()));
  const { checked, problem, checking } = useCheck(text);

  useEffect(() => {
    if (first.data !== null) setText(first.data);
  }, [first.data]);
  const type = (value) => {
    setText(value);
    sessionStorage.setItem(DRAFT, value);
    key.current = crypto.randomUUID?.() ?? String(Math.random()); // another text is another request
  };

  const submit = async () => {
    if (sent.busy || text === null) return;
    setSent({ busy: true, error: null });
    try {
      const job = await jobs.submit(text, key.current);
      sessionStorage.removeItem(DRAFT);
      go(`/jobs/${job.id}`);
    } catch (error) {
      setSent({ busy: false, error });
    }
  };
  const keys = (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) submit();
  };

  const refusal = problem || (sent.error?.errors?.length ? sent.error : null);
  const marks = text === null ? [] : marksOf(refusal, text);
  const show = (mark) => editor.current?.show(offset(text, mark.line, mark.column));
  return html`
    <div class="head">
      <h1>New job${dataset && html` <small>with ${dataset}</small>`}</h1>
      <span class="grow"></span>
      <button class="primary" onClick=${submit} disabled=${sent.busy || text === null} title="Ctrl+Enter">${sent.busy ? 'Starting…' : 'Start training'}</button>
    </div>
    <${Examples} items=${list.data?.items} chosen=${from || dataset ? null : example} />
    <${ErrorBox} error=${first.error || list.error} retry=${first.again} />
    <div class="new" onKeyDown=${keys}>
      ${text !== null && html`<${Editor} text=${text} onInput=${type} marks=${marks} handle=${editor} />`}
      <div class="verdict" aria-live="polite">
        ${sent.error && !sent.error.errors.length && html`<${ErrorBox} error=${sent.error} />`}
        ${refusal && html`<${Faults} problem=${refusal} marks=${marks} show=${show} />`}
        ${checked && !problem && html`<${Verdict} checked=${checked} checking=${checking} onPick=${(pointer) => show(locate(text, pointer))} />`}
      </div>
    </div>
  `;
}

function Examples({ items, chosen }) {
  if (!items) return null;
  return html`
    <ul class="examples" aria-label="Ready examples">
      ${items.map(
        (e) => html`
          <li>
            <a href=${`/new?example=${encodeURIComponent(e.name)}`} title=${e.notes} aria-current=${e.name === chosen ? 'true' : null}>
              <b>${e.title || e.name}</b><span>${e.summary || e.notes}</span>
            </a>
          </li>
        `,
      )}
    </ul>
  `;
}

function Faults({ problem, marks, show }) {
  if (marks.length === 0) return html`<${ErrorBox} error=${problem} />`;
  return html`
    <section class="faults">
      <h2>${marks.length === 1 ? 'One thing is wrong' : `${marks.length} things are wrong`}</h2>
      <ol>
        ${marks.map(
          (m) => html`
            <li>
              <button class="link" onClick=${() => show(m)}>line ${m.line}, column ${m.column}</button> ${m.pointer && html`<code>${m.pointer}</code>`}
              <p>${m.detail}</p>
            </li>
          `,
        )}
      </ol>
    </section>
  `;
}

function Verdict({ checked, checking, onPick }) {
  return html`
    <section class=${checking ? 'stale' : ''}>
      <h2 class="good">The server accepts this job</h2>
      ${checked.warnings?.length > 0 && html`<section class="warnings" aria-label="Warnings"><${WarningList} warnings=${checked.warnings} /></section>`}
      <${Layers} checked=${checked} onPick=${onPick} />
    </section>
  `;
}
