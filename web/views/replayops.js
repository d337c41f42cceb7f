// The ops of a replayed step, as a graph or as a list, coloured by what the reader chooses, and what each of them read and made.

import { html } from 'htm/preact';
import { useMemo, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import * as format from '../lib/format.js';
import { extentOf, halves, model } from '../lib/graphmodel.js';
import { MEASURES, PARTS, barsPath, figureOf, gradientOf, graphNodes, nameOf, nodesOf, scaleOf } from '../lib/replay.js';
import { setQuery } from '../lib/route.js';
import { Canvas, arrangeHalves } from './graph.js';
import { Choice } from './parts.js';

const EXTENT_MOST = 1200; // of a graph that is laid out (lib/graphmodel.js), which takes a second or so; more is a list
const GROUPED = 3; // times as much work are boxes in groups
const ROWS_FIRST = 100; // of the list
const OPS_FIRST = 40; // of a layer in the panel
const HEIGHT_LEAST = 0.7; // of the screen's
const WIDTH_LEAST = 124; // pixels of a box: the longest text of a figure, "100 % not finite"
const BARS_HEIGHT = 24; // units of a histogram's height; its width are its buckets

const LOOKS = [
  ['layers', 'Layers'],
  ['ops', 'Operations'],
  ['list', 'List'],
];

const entries = (table) => Object.entries(table).map(([name, { text }]) => [name, text]);
const chosen = (query, name, table, usual) => (Object.hasOwn(table, query.get(name) || '') ? query.get(name) : usual);

export function Ops({ job, replay, query, step, batch, types }) {
  const part = chosen(query, 'part', PARTS, 'forward');
  const measure = chosen(query, 'by', MEASURES, 'zeros');
  const look = LOOKS.some(([name]) => name === query.get('look')) ? query.get('look') : 'layers';
  const nodes = useMemo(() => nodesOf(replay, step, { part, batch }), [replay, step, part, batch]);
  const drawn = useMemo(() => (look === 'list' ? null : model(graphNodes(replay, nodes, types), { grain: look, backward: true })), [replay, nodes, look]);
  const isLarge = useMemo(() => drawn && workOf(drawn) > EXTENT_MOST, [drawn]);
  const set = (name, usual) => (value) => setQuery({ [name]: value === usual ? '' : value });
  const pick = (node) => setQuery({ node: node || '' });
  return html`
    <div class="controls">
      <${Choice} label="Part of the step" value=${part} options=${entries(PARTS)} onChange=${(p) => setQuery({ part: p === 'forward' ? '' : p, node: '' })} />
      <${Choice} label="Show as" value=${look} options=${LOOKS} onChange=${set('look', 'layers')} />
      <${Choice} label="Colour by" value=${measure} options=${entries(MEASURES)} onChange=${set('by', 'zeros')} />
      <span class="muted">${format.count(nodes.length)} operations</span>
    </div>
    ${nodes.length === 0 && html`<p class="empty small">Nothing of this part of the step was recorded.</p>`}
    ${isLarge && html`<p class="muted">${format.count(drawn.boxes.length)} boxes are more than a picture can show: here they are as a list.${look === 'ops' ? ' Layers are fewer.' : ''}</p>`}
    <div class="graph-and-detail" hidden=${nodes.length === 0}>
      ${drawn && !isLarge
        ? html`<${Drawn} replay=${replay} drawn=${drawn} measure=${measure} node=${query.get('node')} pick=${pick} />`
        : html`<${List} key=${`${step} ${part}`} replay=${replay} nodes=${nodes} measure=${measure} node=${query.get('node')} pick=${pick} types=${types} />`}
      <${Detail} job=${job} replay=${replay} step=${step} node=${query.get('node')} drawn=${drawn} pick=${pick} types=${types} />
    </div>
  `;
}

/* ---- The graph ---- */

function workOf(drawn) {
  const { forward, backward } = halves(drawn);
  return (extentOf(forward) + extentOf(backward)) * (drawn.groups.length > 0 ? GROUPED : 1);
}

function Drawn({ replay, drawn, measure, node, pick }) {
  const layout = useMemo(() => arrangeHalves({ ...drawn, boxes: drawn.boxes.map((b) => ({ ...b, width: Math.max(WIDTH_LEAST, b.width) })) }), [drawn]);
  const { paint, scale } = useMemo(() => {
    const figures = new Map(drawn.boxes.map((b) => [b.id, figureOf(replay, b.nodes, measure)]));
    const to = scaleOf([...figures.values()], measure);
    return { scale: to, paint: (b) => lookOf(figures.get(b.id), to, measure) };
  }, [replay, drawn, measure]);
  const picked = boxOf(drawn, node);
  return html`
    <div class="replayed">
      <${Canvas} layout=${layout} picked=${picked} pick=${(b) => pick(b?.id)} paint=${paint} least=${HEIGHT_LEAST * innerHeight} />
      <${Legend} measure=${measure} scale=${scale} />
    </div>
  `;
}

/* The box that stands for NODE: its own, or that of its layer. */
function boxOf(drawn, node) {
  if (!node || !drawn) return null;
  return drawn.boxes.find((b) => b.id === node) || drawn.boxes.find((b) => b.nodes.some((n) => `n${n.id}` === node)) || null;
}

function lookOf(figure, scale, measure) {
  if (figure === null) return { text: format.NOTHING, tone: 'none', heat: 0 };
  const at = Math.max(-1, Math.min(1, scale.at(figure)));
  return { text: MEASURES[measure].show(figure), tone: measure === 'nonfinite' && figure > 0 ? 'bad' : at < 0 ? 'cold' : 'hot', heat: Math.round(Math.abs(at) * 100) / 100 };
}

const LEGENDS = {
  zeros: 'Share of zeros in the result',
  nonfinite: 'Share of NaN and infinities, wherever there are most',
  largest: 'Largest magnitude, logarithmic',
  mean: 'Mean of the result',
  gradient: 'Norm of the result’s gradient, logarithmic',
};

function Legend({ measure, scale }) {
  const text = (x) => (MEASURES[measure].scale === 'share' ? format.percent(x) : format.value(x));
  return html`
    <p class="legend" data-measure=${measure}>
      <span>${LEGENDS[measure]}</span>
      <span class="scale">${text(scale.low)}<i></i>${text(scale.high)}</span>
      <span class="muted">– has none</span>
    </p>
  `;
}

/* ---- The list ---- */

function List({ replay, nodes, measure, node, pick, types }) {
  const [most, setMost] = useState(ROWS_FIRST);
  const [filter, setFilter] = useState('');
  const [isSorted, setSorted] = useState(false);
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const own = nodes.filter((n) => words.every((w) => `${n.op} ${n.layer} ${types[n.layer] || ''} ${n.phase}`.toLowerCase().includes(w)));
    const list = own.map((n) => ({ n, v: replay.values[n.outputs[0]], x: figureOf(replay, [{ node: n }], measure) }));
    return isSorted ? list.sort((a, b) => Math.abs(b.x ?? -1) - Math.abs(a.x ?? -1)) : list;
  }, [replay, nodes, measure, filter, isSorted]);
  const scale = useMemo(() => scaleOf(rows.map((r) => r.x), measure), [rows, measure]);
  return html`
    <div>
      <div class="controls">
        <input type="search" placeholder="Op or layer" aria-label="Show only ops with" value=${filter} onInput=${(e) => setFilter(e.target.value)} />
        <${Choice} label="Order" value=${isSorted ? 'figure' : 'run'} options=${[['run', 'As they ran'], ['figure', 'By the colour']]} onChange=${(o) => setSorted(o === 'figure')} />
      </div>
      <div class="scroll">
        <table class="dense ops">
          <thead><tr><th class="num">#</th><th>Operation</th><th>Layer</th><th>${MEASURES[measure].text}</th><th>Result</th><th class="num">Smallest</th><th class="num">Largest</th><th class="num">Mean</th></tr></thead>
          <tbody>
            ${rows.slice(0, most).map(({ n, v, x }) => {
              const look = lookOf(x, scale, measure);
              return html`
                <tr key=${n.id} aria-current=${node === `n${n.id}` ? 'true' : null}>
                  <td class="num">${n.id}</td>
                  <td><button class="link" onClick=${() => pick(`n${n.id}`)}>${n.op}</button> ${n.phase !== 'forward' && html`<small>${n.phase}</small>`}</td>
                  <td>${n.layer}${types[n.layer] ? html` <small>${types[n.layer]}</small>` : ''}</td>
                  <td class="toned" data-tone=${look.tone} style=${{ '--heat': look.heat }}>${look.text}</td>
                  <td>${v ? format.shape(v.shape) : ''}</td>
                  <td class="num">${format.value(v?.min)}</td><td class="num">${format.value(v?.max)}</td><td class="num">${format.value(v?.mean)}</td>
                </tr>
              `;
            })}
          </tbody>
        </table>
      </div>
      ${rows.length > most && html`<p class="more"><button onClick=${() => setMost(most * 2)}>Show more of ${format.count(rows.length)}</button></p>`}
      ${rows.length === 0 && nodes.length > 0 && html`<p class="muted">No operation is called so.</p>`}
    </div>
  `;
}

/* ---- One op, one layer, one value ---- */

function Detail({ job, replay, step, node, drawn, pick, types }) {
  const op = /^n(\d+)$/.exec(node || '');
  const value = /^nv(\d+)$/.exec(node || '');
  const common = { job, replay, pick, types };
  if (op && replay.nodes[op[1]]?.step === step) return html`<${OpDetail} ...${common} op=${replay.nodes[op[1]]} />`;
  if (value && replay.values[value[1]]) return html`<aside class="graph-detail"><h2>${nameOf(replay, Number(value[1]), types)}</h2><${Value} ...${common} id=${Number(value[1])} /></aside>`;
  const box = boxOf(drawn, node);
  if (!box) return html`<aside class="graph-detail muted">Press ${drawn ? 'a box' : 'an operation'} to see its inputs, outputs and gradients.</aside>`;
  return html`<${LayerDetail} ...${common} box=${box} />`;
}

function OpDetail({ op, types, ...common }) {
  return html`
    <aside class="graph-detail" aria-live="polite">
      <h2>${op.op} ${op.layer && html`<small>in ${op.layer}${types[op.layer] ? `, ${types[op.layer]}` : ''}</small>`}</h2>
      <p class="muted">${op.phase}, operation ${op.id}</p>
      <${Values} title="Outputs" ids=${op.outputs} types=${types} ...${common} />
      <${Values} title="Inputs" ids=${op.inputs.filter((i) => i !== null)} types=${types} ...${common} />
    </aside>
  `;
}

/* A layer is what goes in, what comes out, and the ops between. */
function LayerDetail({ box, replay, pick, ...common }) {
  const [most, setMost] = useState(OPS_FIRST);
  const ops = box.nodes.filter((n) => n.node).map((n) => n.node);
  const made = new Set(ops.flatMap((n) => n.outputs));
  const own = new Set(ops.map((n) => n.id));
  const inputs = [...new Set(ops.flatMap((n) => n.inputs))].filter((i) => i !== null && !made.has(i));
  const outputs = [...made].filter((i) => replay.values[i].consumers.length === 0 || replay.values[i].consumers.some((c) => !own.has(c)));
  return html`
    <aside class="graph-detail" aria-live="polite">
      <h2>${box.title}</h2>
      <p class="ops-of">${ops.slice(0, most).map((n) => html`<button key=${n.id} class="link" onClick=${() => pick(`n${n.id}`)}>${n.op}</button> `)}
        ${ops.length > most && html`<button class="link" onClick=${() => setMost(Infinity)}>and ${ops.length - most} more</button>`}</p>
      <${Values} key=${`o${box.id}`} title="Outputs" ids=${outputs} replay=${replay} pick=${pick} ...${common} />
      <${Values} key=${`i${box.id}`} title="Inputs" ids=${inputs} replay=${replay} pick=${pick} ...${common} />
    </aside>
  `;
}

const VALUES_FIRST = 8;

function Values({ title, ids, ...common }) {
  const [most, setMost] = useState(VALUES_FIRST);
  if (ids.length === 0) return null;
  return html`
    <h3>${title}</h3>
    ${ids.slice(0, most).map((id) => html`<${Value} key=${id} id=${id} ...${common} />`)}
    ${ids.length > most && html`<button onClick=${() => setMost(Infinity)}>Show all ${ids.length}</button>`}
  `;
}

/* A value with its gradient below it. */
function Value({ job, replay, id, pick, types, isGradient }) {
  const v = replay.values[id];
  const gradient = isGradient ? null : gradientOf(v, replay.values);
  const bad = v.non_finite > 0;
  const title = isGradient ? 'Gradient' : nameOf(replay, id, types);
  const node = (n) => html`<button class="link" onClick=${() => pick(`n${n}`)}>${replay.nodes[n].op}</button> `;
  const readers = v.consumers.slice(0, 6);
  return html`
    <section class="value">
      <h4>${title} <small>${format.shape(v.shape)} ${v.dtype}${v.kind !== 'activation' && v.kind !== 'gradient' ? `, ${v.kind}` : ''}</small></h4>
      <${Bars} histogram=${v.histogram} title=${title} gradient=${v.kind === 'gradient'} />
      <dl class="about">
        <div><dt>Mean</dt><dd>${format.value(v.mean)}</dd></div>
        <div><dt>Norm</dt><dd>${format.value(v.norm)}</dd></div>
        <div><dt>Zeros</dt><dd>${format.percent(v.zeros, 1)}</dd></div>
        <div><dt>Not finite</dt><dd>${bad ? html`<b class="bad">${format.count(v.non_finite)}</b>` : 'none'}</dd></div>
        ${v.producer !== null && html`<div class="wide"><dt>Made by</dt><dd>${node(v.producer)}</dd></div>`}
        ${readers.length > 0 && html`<div class="wide"><dt>Read by</dt><dd>${readers.map(node)}${v.consumers.length > readers.length ? `and ${v.consumers.length - readers.length} more` : ''}</dd></div>`}
      </dl>
      ${v.kept ? html`<a href=${jobs.replayValueAddress(job.id, replay.step, id)} download=${`step-${v.step}-value-${id}.npy`}>NPY, ${format.bytes(v.bytes)}</a>` : html`<small>Its elements were too many to be kept.</small>`}
      ${gradient && gradient.id !== id && html`<${Value} job=${job} replay=${replay} id=${gradient.id} pick=${pick} types=${types} isGradient />`}
    </section>
  `;
}

function Bars({ histogram: h, title, gradient }) {
  if (!h) return html`<p class="muted">No finite value.</p>`;
  const { low, high, counts } = h;
  const zero = low < 0 && high > 0 ? (-low / (high - low)) * counts.length : null;
  return html`
    <svg class=${`spread ${gradient ? 'of-gradient' : ''}`} viewBox=${`0 0 ${counts.length} ${BARS_HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: from ${format.value(low)} to ${format.value(high)}`}>
      <path d=${barsPath(counts, BARS_HEIGHT)} />
      ${zero !== null && html`<line x1=${zero} x2=${zero} y1="0" y2=${BARS_HEIGHT} vector-effect="non-scaling-stroke"><title>0</title></line>`}
    </svg>
    <p class="spread-ends"><span>${format.value(low)}</span>${zero !== null && html`<span class="muted">0 at the line</span>`}<span>${format.value(high)}</span></p>
  `;
}
