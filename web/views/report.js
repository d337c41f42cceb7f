// What a finished job is worth: figures by split, where classes are mistaken for others, and the samples behind it.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import { drawPicture } from '../charts.js';
import * as format from '../lib/format.js';
import { isShare, measureText } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { number } from '../lib/smooth.js';
import { ErrorCurves, Residuals } from './errorcurves.js';
import { Choice, ErrorBox, isTerminal, useLoaded } from './parts.js';

const SAMPLES_FIRST = 48;
const NARROW = '(max-width: 46rem)'; // as in style.css
const TALL_FIRST = 6; // of texts and rows on a narrow screen, where each is nearly as tall as that
const CLASSES_MOST = 40; // a larger matrix has no numbers in its cells
const SPLIT_NAMES = { train: 'Train', validation: 'Validation', val: 'Validation', test: 'Test' };

export function Report({ job, query }) {
  const done = job.state === 'succeeded';
  const { data, error, again } = useLoaded(async () => (done ? jobs.report(job.id) : null), `${job.id} ${done}`);
  if (!done) {
    return html`<p class="empty small">${isTerminal(job.state) ? 'This job ended without a report.' : 'The report comes when the job has ended.'}</p>`;
  }
  if (error) return html`<${ErrorBox} error=${error} retry=${again} />`;
  if (!data) return null;
  const classes = (data.classes || []).map(String);
  const shown = data.confusion_classes ? data.confusion_classes.map((k) => classes[k]) : classes; // of very many classes only some
  return html`
    <div class="report">
      <${Splits} splits=${data.splits || {}} />
      <${Figures} report=${data} />
      <div class="pair">
        ${data.confusion && html`<section><h2>Confusion matrix <small>rows: the true class; columns: what the model said</small></h2><${Confusion} matrix=${data.confusion} classes=${shown} /></section>`}
        ${data.per_class && html`<section><h2>By class</h2><${PerClass} rows=${data.per_class} /></section>`}
      </div>
      <${ErrorCurves} curves=${data.curves} query=${query} />
      <${Residuals} residuals=${data.residuals} />
      ${data.samples?.length > 0 && html`<${Samples} samples=${data.samples} classes=${classes} mistakes=${mistakesOf(data.splits?.[data.shown || 'test'])} split=${SPLIT_NAMES[data.shown] || 'Test'} query=${query} />`}
    </div>
  `;
}

/* A figure is a number, or {value, standard_error}; an error of 0 (older reports) says nothing, as none does. */
function figure(name, given) {
  const v = number(given?.value ?? given);
  const error = given?.standard_error;
  const asShare = isShare(name);
  const text = asShare ? format.percent(v, 2) : format.value(v);
  if (!(error > 0)) return text;
  return html`${text} <small title="plus or minus one standard error">± ${asShare ? format.percent(error, 2) : format.value(error)}</small>`;
}

/* "5,000 of 55,000 samples" when a split was too large to be gone through whole. */
function samplesText({ samples, of }) {
  if (!Number.isFinite(samples)) return '';
  return of > samples ? `${format.count(samples)} of ${format.count(of)} samples` : `${format.count(samples)} samples`;
}

function Splits({ splits }) {
  const names = Object.keys(splits);
  const metrics = [...new Set(names.flatMap((s) => Object.keys(splits[s] || {})))].filter((m) => m !== 'samples' && m !== 'of');
  return html`
    <div class="scroll">
      <table class="splits">
        <thead><tr><th></th>${metrics.map((m) => html`<th class="num">${measureText(m)}</th>`)}</tr></thead>
        <tbody>
          ${names.map(
            (s) => html`<tr><th>${SPLIT_NAMES[s] || s} <small>${samplesText(splits[s])}</small></th>${metrics.map((m) => html`<td class="num">${m in splits[s] ? figure(m, splits[s][m]) : format.NOTHING}</td>`)}</tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="muted">± is one standard error: what another draw of as many samples might change; a figure without it has none that is known.</p>
  `;
}

function Figures({ report }) {
  const facts = [
    ['Time', format.duration(report.time_s)],
    ['Samples per second', format.count(report.samples_per_second)],
    ['Peak memory', format.bytes(report.peak_bytes)],
  ].filter(([, text]) => text !== format.NOTHING);
  return facts.length > 0 && html`<div class="facts"><dl>${facts.map(([n, t]) => html`<div><dt>${n}</dt><dd>${t}</dd></div>`)}</dl></div>`;
}

/* Right answers on the diagonal in one colour, mistakes in another; both by their share of the row. */
function Confusion({ matrix, classes }) {
  return html`
    <div class="scroll">
      <table class=${matrix.length > CLASSES_MOST ? 'confusion tiny' : 'confusion'}>
        <thead><tr><th></th>${matrix.map((_, k) => html`<th scope="col"><span>${classes[k] ?? k}</span></th>`)}</tr></thead>
        <tbody>
          ${matrix.map((row, i) => {
            const sum = row.reduce((a, b) => a + b, 0) || 1;
            return html`<tr>
              <th scope="row">${classes[i] ?? i}</th>
              ${row.map((n, k) => html`<${Cell} n=${n} isTiny=${matrix.length > CLASSES_MOST} share=${n / sum} right=${i === k} title=${`${classes[i] ?? i} taken for ${classes[k] ?? k}: ${n} (${format.percent(n / sum, 1)})`} />`)}
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
  `;
}

function Cell({ n, isTiny, share, right, title }) {
  // The root brings small shares of mistakes into sight.
  const strength = n === 0 ? 0 : Math.round((right ? share : Math.sqrt(share)) * 85 + 8);
  const paint = `color-mix(in srgb, var(${right ? '--good' : '--bad'}) ${Math.min(90, strength)}%, transparent)`;
  return html`<td class=${strength > 55 ? 'strong' : ''} title=${title} style=${{ background: n ? paint : '' }}>${isTiny ? '' : n || html`<i>·</i>`}</td>`;
}

function PerClass({ rows }) {
  const share = (v) => html`<td class="num"><span class="meter"><i style=${{ width: `${Math.max(0, Math.min(1, number(v) || 0)) * 100}%` }}></i></span>${format.percent(number(v), 1)}</td>`;
  return html`
    <div class="scroll">
      <table>
        <thead><tr><th>Class</th><th class="num">Precision</th><th class="num">Recall</th><th class="num">F1</th><th class="num">Samples</th></tr></thead>
        <tbody>
          ${rows.map((r) => html`<tr><th scope="row">${r.name}</th>${share(r.precision)}${share(r.recall)}${share(r.f1)}<td class="num">${format.count(r.support)}</td></tr>`)}
        </tbody>
      </table>
    </div>
  `;
}

/* How many samples of a SPLIT were taken for something else; NaN where the report does not tell. */
function mistakesOf(split) {
  return Math.round(split?.samples * (1 - number(split?.accuracy?.value ?? split?.accuracy)));
}

const isWrong = (sample) => sample.wrong ?? sample.label !== sample.prediction;

/* The wrong ones first, and among those the ones that were missed the furthest, or of which the model was surest; of figures, those
 * that are furthest off.  These are a choice: MISTAKES is how many there were in the whole split. */
function Samples({ samples, classes, mistakes, split, query }) {
  const isTall = !samples.some((s) => s.image) && matchMedia(NARROW).matches;
  const [most, setMost] = useState(isTall ? TALL_FIRST : SAMPLES_FIRST);
  if (samples.every((s) => typeof offBy(s) === 'number')) {
    return html`<h2>Samples <small>${split}: those furthest off first</small></h2><${Regressed} samples=${samples} most=${most} /><${More} n=${samples.length} most=${most} setMost=${setMost} />`;
  }
  if (samples.every((s) => s.prediction === undefined)) return html`<h2>Samples <small>${split}: those that were hardest to foresee first</small></h2><${Texts} samples=${samples} most=${most} /><${More} n=${samples.length} most=${most} setMost=${setMost} />`;
  const show = query.get('samples') || 'all';
  const nWrong = samples.filter(isWrong).length;
  const badness = (s) => number(s.loss ?? (isWrong(s) ? s.probability : 1 - s.probability));
  const list = samples.filter((s) => show === 'all' || (show === 'wrong') === isWrong(s)).sort((a, b) => isWrong(b) - isWrong(a) || badness(b) - badness(a));
  const options = [
    ['all', 'Both'],
    ['wrong', 'Mistakes'],
    ['right', 'Right ones'],
  ];
  const wrongText = mistakes > nWrong ? `${nWrong} of ${format.count(mistakes)} mistakes, the worst first,` : `${nWrong} mistakes`;
  return html`
    <div class="head small">
      <h2>Samples <small>${split}: ${wrongText} and ${samples.length - nWrong} right ones</small></h2>
      <span class="grow"></span>
      <${Choice} label="Which samples" value=${show} options=${options} onChange=${(v) => setQuery({ samples: v === 'all' ? '' : v })} />
    </div>
    <ul class=${samples.some((s) => s.image) ? 'samples' : 'samples texts'}>
      ${list.slice(0, most).map((s) => html`<${Sample} key=${s.index} sample=${s} classes=${classes} wrong=${isWrong(s)} />`)}
    </ul>
    <${More} n=${list.length} most=${most} setMost=${setMost} />
  `;
}

function More({ n, most, setMost }) {
  return n > most && html`<p class="more"><button onClick=${() => setMost(most + SAMPLES_FIRST)}>Show more</button></p>`;
}

const TOP_SHOWN = 3; // classes below a sample

function Sample({ sample, classes, wrong }) {
  const canvas = useRef(null);
  const name = (k) => (typeof k === 'number' ? (classes[k] ?? k) : k ?? 'not counted');
  useEffect(() => {
    if (sample.image?.data) drawPicture(canvas.current, sample.image); // reports of the first version hold bytes
  }, [sample]);
  const isTagged = Array.isArray(sample.prediction);
  const text = isTagged ? `Sample ${sample.index}` : `Sample ${sample.index}: is ${name(sample.label)}, taken for ${name(sample.prediction)} with ${format.percent(sample.probability, 1)}`;
  const others = (sample.top || []).filter((t) => name(t.label) !== name(sample.prediction)).slice(0, TOP_SHOWN - 1);
  return html`
    <li class=${wrong ? 'wrong' : ''} title=${text}>
      ${sample.image?.data && html`<canvas ref=${canvas} role="img" aria-label=${text}></canvas>`}
      ${sample.image?.png && html`<img src=${`data:image/png;base64,${sample.image.png}`} alt=${text} />`}
      ${sample.text !== undefined && html`<p>${sample.text}</p>`}
      ${sample.row && html`<${Row} row=${sample.row} />`}
      ${isTagged
        ? html`<${Tags} said=${sample.prediction} is=${sample.label || []} />`
        : html`
            <b>said ${name(sample.prediction)}, ${format.percent(sample.probability)}</b>
            <small>is ${name(sample.label)}</small>
            ${others.map((t) => html`<small>or ${name(t.label)}, ${format.percent(t.probability)}</small>`)}
          `}
    </li>
  `;
}

/* Of a language there is no right or wrong sample: each has its loss. */
function Texts({ samples, most }) {
  const list = [...samples].sort((a, b) => number(b.loss) - number(a.loss));
  return html`<ul class="samples texts">${list.slice(0, most).map((s) => html`<li key=${s.index}><p>${s.text}</p><small>loss ${format.value(s.loss)}</small></li>`)}</ul>`;
}

/* A tag for each word; a wrong one with what it should have been. */
function Tags({ said, is }) {
  return html`<div class="tags">${said.map((tag, k) => (tag === is[k] ? html`<b class="right">${tag}</b> ` : html`<b>${tag}</b> <small>is ${is[k]}</small> `))}</div>`;
}

function Row({ row }) {
  return html`<dl class="row">${Object.entries(row).map(([n, v]) => html`<div><dt>${n}</dt><dd>${typeof v === 'number' ? format.value(v) : String(v ?? 'missing')}</dd></div>`)}</dl>`;
}

/* The first figure of a target or a prediction: {"price": 3}, [3] or 3. */
function firstOf(v) {
  return v !== null && typeof v === 'object' ? Object.values(v)[0] : v;
}

/* How far a predicted figure is from the true one; undefined where the sample is of a class. */
function offBy(sample) {
  const isFigure = 'target' in sample && sample.probability === undefined;
  return isFigure ? number(firstOf(sample.prediction)) - number(firstOf(sample.target)) : undefined;
}

function Regressed({ samples, most }) {
  const list = [...samples].sort((a, b) => Math.abs(offBy(b)) - Math.abs(offBy(a)));
  const names = [...new Set(list.flatMap((s) => Object.keys(s.row || {})))];
  const figureText = (v) => (typeof v === 'number' ? format.value(v) : String(v ?? format.NOTHING));
  return html`
    <div class="scroll">
      <table class="dense cells">
        <thead><tr><th class="num">Off by</th><th class="num">Said</th><th class="num">Is</th>${names.map((n) => html`<th>${n}</th>`)}</tr></thead>
        <tbody>
          ${list.slice(0, most).map(
            (s) => html`<tr><td class="num"><b>${format.value(offBy(s))}</b></td><td class="num">${figureText(firstOf(s.prediction))}</td><td class="num">${figureText(firstOf(s.target))}</td>${names.map((n) => html`<td>${figureText(s.row?.[n])}</td>`)}</tr>`,
          )}
        </tbody>
      </table>
    </div>
  `;
}
