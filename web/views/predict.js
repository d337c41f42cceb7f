// The trained model at work: a dropped picture, a form made of the data set's columns, or pasted JSON; and what it says.

import { html } from 'htm/preact';
import { useEffect, useState } from 'preact/hooks';
import { address, datasets, jobs } from '../api.js';
import * as format from '../lib/format.js';
import { answerKind, bodyOf, firstValue, inputColumns, mediaType, rowOf, topOf } from '../lib/predict.js';
import { bestSeries } from '../lib/series.js';
import { Field } from './fields.js';
import { Choice, ErrorBox, Shell, isTerminal, quoted, useLoaded } from './parts.js';

const SHOWN_MOST = 50; // predictions of one answer on the page
const SAMPLE_TEXT = { labelled_text: 'what a fine film', text: 'Once upon a time', tagged_text: 'the cat sat on the mat' };

export function Predict({ job }) {
  const name = job.spec?.data?.dataset;
  // Without the data set's description there are still pictures and JSON.
  const { data: dataset, loading } = useLoaded(async () => datasets.get(name).catch(() => ({})), name);
  if (!(job.progress?.step > 0)) return html`<p class="empty small">${isTerminal(job.state) ? 'This job ended before it had any weights.' : 'There is nothing to ask before the first checkpoint.'}</p>`;
  if (loading || !dataset) return null;
  return html`<${Ask} job=${job} info=${dataset.info || {}} kind=${dataset.info?.kind || dataset.kind} sample=${dataset.summary?.samples?.[0]} />`;
}

/* The ways to ask that fit the data, the handiest first. */
function waysOf(kind, columns) {
  const form = columns.length > 0 && ['form', 'Form'];
  const text = kind in SAMPLE_TEXT && ['text', 'Text'];
  const picture = (kind === 'images' || kind === undefined) && ['picture', 'Picture'];
  return [form, text, picture, ['json', 'JSON'], ['file', 'NPY file']].filter(Boolean);
}

function Ask({ job, info, kind, sample }) {
  const columns = kind === 'table' ? inputColumns(info, job.spec?.data) : [];
  const ways = waysOf(kind, columns);
  const hasBest = bestSeries(job.spec) !== '';
  const [way, setWay] = useState(ways[0][0]);
  const [checkpoint, setCheckpoint] = useState(hasBest ? 'best' : 'last');
  const [state, setState] = useState({ answer: null, problem: null, busy: false, picture: null });

  useEffect(() => () => state.picture && URL.revokeObjectURL(state.picture), [state.picture]);

  const ask = async (input, picture = null) => {
    setState((s) => ({ ...s, problem: null, busy: true, picture }));
    try {
      const answer = await jobs.predict(job.id, input, { checkpoint, top: 5 });
      setState({ answer, problem: null, busy: false, picture });
    } catch (problem) {
      setState({ answer: null, problem, busy: false, picture });
    }
  };
  const askJson = (body) => ask({ body: JSON.stringify(body), type: 'application/json' });
  const failed = (title, message) => setState((s) => ({ ...s, answer: null, problem: { title, message } }));
  const parts = { form: FormInput, text: TextInput, picture: PictureInput, json: JsonInput, file: FileInput };
  return html`
    <div class="controls">
      <${Choice} label="How to ask" value=${way} options=${ways} onChange=${setWay} />
      ${hasBest && html`<${Choice} label="Weights" value=${checkpoint} options=${[['best', 'Best weights'], ['last', 'Last weights']]} onChange=${setCheckpoint} />`}
    </div>
    <div class="with-aside even">
      <div>
        <${parts[way]} kind=${kind} info=${info} sample=${sample} columns=${columns} ask=${ask} askJson=${askJson} failed=${failed} busy=${state.busy} />
        <h2>With curl</h2>
        <${Shell} text=${curlOf(job, kind, columns)} />
      </div>
      <div aria-live="polite">
        <${ErrorBox} error=${state.problem} />
        <${Answer} answer=${state.answer} picture=${state.picture} busy=${state.busy} />
      </div>
    </div>
  `;
}

function curlOf(job, kind, columns) {
  const to = address(`/jobs/${job.id}/predict`);
  if (kind === 'images') return `curl --data-binary @picture.png -H 'Content-Type: image/png' ${to}`;
  const input = kind === 'table' ? rowOf(columns, Object.fromEntries(columns.map((c) => [c.name, firstValue(c)]))) : (SAMPLE_TEXT[kind] ?? [0, 0, 0]);
  return `curl ${to} --json '${quoted({ inputs: [input] })}'`;
}

function FormInput({ columns, askJson, busy }) {
  const [values, setValues] = useState(() => Object.fromEntries(columns.map((c) => [c.name, firstValue(c)])));
  const set = (name) => (e) => setValues({ ...values, [name]: e.target.value });
  const submit = (event) => {
    event.preventDefault();
    askJson({ inputs: [rowOf(columns, values)] });
  };
  return html`
    <form class="card form" onSubmit=${submit}>
      <div class="form-grid">
        ${columns.map(
          (c) => html`
            <${Field} key=${c.name} label=${c.name} hint=${Number.isFinite(c.min) && `${format.value(c.min)} … ${format.value(c.max)}`}>
              ${c.type === 'category'
                ? html`<select value=${values[c.name]} onChange=${set(c.name)}><option value="">missing</option>${(c.categories || []).map((v) => html`<option value=${v}>${v}</option>`)}</select>`
                : html`<input inputmode="decimal" value=${values[c.name]} onInput=${set(c.name)} placeholder="missing" />`}
            <//>
          `,
        )}
      </div>
      <div class="actions"><button class="primary" disabled=${busy}>Predict</button></div>
    </form>
  `;
}

function TextInput({ kind, sample, askJson, busy }) {
  const submit = (event) => {
    event.preventDefault();
    const { text, length, temperature } = Object.fromEntries(new FormData(event.target));
    askJson({ inputs: [text], ...(kind === 'text' && { length: Number(length), temperature: Number(temperature) }) });
  };
  return html`
    <form class="card form" onSubmit=${submit}>
      <${Field} label=${kind === 'text' ? 'Beginning of the text' : 'Text'}><textarea name="text" rows="5" required defaultValue=${sample?.text || SAMPLE_TEXT[kind]}></textarea><//>
      ${kind === 'text' &&
      html`<div class="form-grid">
        <${Field} label="Tokens to write"><input name="length" type="number" min="1" max="2000" defaultValue="300" required /><//>
        <${Field} label="Temperature" hint="0: always the likeliest token"><input name="temperature" type="number" min="0" max="100" step="any" defaultValue="0.8" required /><//>
      </div>`}
      <div class="actions"><button class="primary" disabled=${busy}>${kind === 'text' ? 'Continue it' : 'Predict'}</button></div>
    </form>
  `;
}

/* A file by drop, choice or paste: pictures are shown beside the answer. */
function PictureInput({ ask, failed, busy }) {
  const [over, setOver] = useState(false);
  const take = (files) => {
    const file = files[0];
    const type = file && mediaType(file);
    if (!file) return;
    if (!type?.startsWith('image/')) failed('Not a picture', `"${file.name}" is neither PNG nor JPEG. Convert it, or paste JSON.`);
    else ask({ body: file, type }, URL.createObjectURL(file));
  };
  useEffect(() => {
    const paste = (e) => e.clipboardData?.files.length > 0 && take(e.clipboardData.files);
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  });
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files);
  };
  return html`
    <label class=${`drop tall ${over ? 'over' : ''}`} onDragOver=${(e) => (e.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)} onDrop=${drop}>
      <input type="file" accept="image/png,image/jpeg" class="hidden" disabled=${busy} onChange=${(e) => take(e.target.files)} />
      <b>${busy ? 'Looking at it…' : 'Drop a picture here, paste it, or choose one'}</b>
      <small>PNG or JPEG; it is cut and scaled as the training pictures were</small>
    </label>
  `;
}

function JsonInput({ kind, columns, askJson, failed, busy }) {
  const first = kind === 'table' ? rowOf(columns, Object.fromEntries(columns.map((c) => [c.name, firstValue(c)]))) : (SAMPLE_TEXT[kind] ?? [0, 0, 0]);
  const submit = (event) => {
    event.preventDefault();
    try {
      askJson(bodyOf(new FormData(event.target).get('json')));
    } catch (e) {
      failed('Not JSON', e.message);
    }
  };
  return html`
    <form class="card form" onSubmit=${submit}>
      <${Field} label="One input, or a list of them"><textarea name="json" rows="8" required spellcheck=${false} defaultValue=${JSON.stringify([first], null, 2)}></textarea><//>
      <div class="actions"><button class="primary" disabled=${busy}>Predict</button></div>
    </form>
  `;
}

function FileInput({ ask, failed, busy }) {
  const take = (e) => {
    const file = e.target.files[0];
    const type = file && mediaType(file);
    if (!file) return;
    if (type !== 'application/x-npy' && type !== 'application/json') failed('Not such a file', `"${file.name}" is neither NPY nor JSON.`);
    else ask({ body: file, type });
  };
  return html`
    <label class="drop tall">
      <input type="file" accept=".npy,.json" class="hidden" disabled=${busy} onChange=${take} />
      <b>Choose an NPY or JSON file</b>
      <small>an array with one sample in each row</small>
    </label>
  `;
}

// ---- The answer -------------------------------------------------------------------------------------------------------

const ANSWERS = {
  classes: ({ prediction }) => html`
    <ul class="top">
      ${topOf(prediction).map((t, k) => html`<li class=${k === 0 ? 'first' : ''}><span>${t.label}</span><span class="meter"><i style=${{ width: `${(t.probability || 0) * 100}%` }}></i></span><b>${format.percent(t.probability, 1)}</b></li>`)}
    </ul>
  `,
  values: ({ prediction }) => html`<dl class="values">${Object.entries(prediction.values).map(([name, v]) => html`<div><dt>${name}</dt><dd>${format.value(v)}</dd></div>`)}</dl>`,
  tags: ({ prediction }) => html`<p class="tagged">${prediction.tags.map(([word, tag]) => html`<span>${word}<small>${tag}</small></span> `)}</p>`,
  text: ({ prediction }) => html`<pre class="continuation">${prediction.text}</pre>`,
};

function Answer({ answer, picture, busy }) {
  if (!answer) return html`<p class="empty small">${busy ? 'The model is at work…' : 'What the model says is shown here.'}</p>`;
  const { predictions } = answer;
  return html`
    <div class=${`answers ${busy ? 'stale' : ''}`}>
      ${picture && html`<img class="asked" src=${picture} alt="The picture that was sent" />`}
      <ol>${predictions.slice(0, SHOWN_MOST).map((p) => html`<li class="card"><${ANSWERS[answerKind(p)]} prediction=${p} /></li>`)}</ol>
      ${predictions.length > SHOWN_MOST && html`<p class="muted">and ${predictions.length - SHOWN_MOST} more</p>`}
      ${answer.checkpoint && html`<p class="muted">by the ${answer.checkpoint} weights</p>`}
    </div>
  `;
}
