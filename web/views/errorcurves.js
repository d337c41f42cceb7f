// What can be had of precision for recall, and of true finds for false alarms; and where predicted figures lie against true ones.

import { html } from 'htm/preact';
import { setQuery } from '../lib/route.js';
import { number } from '../lib/smooth.js';
import * as format from '../lib/format.js';
import { Plot } from './plots.js';

const UNIT = [0, 1];
const CURVES_FIRST = 5; // classes that are drawn until the reader chooses
const CURVES_MOST = 10; // as many as there are colours

/* CURVES {split: {pr: [...], roc: [...]}}: of the test split, else of any. */
export function ErrorCurves({ curves, query }) {
  const split = curves && (curves.test || Object.values(curves)[0]);
  if (!split?.pr?.length && !split?.roc?.length) return null;
  const names = (split.pr || split.roc).map((c) => String(c.class));
  const asked = (query.get('classes') || '').split(',').filter((c) => names.includes(c));
  const chosen = asked.length > 0 ? asked : names.slice(0, CURVES_FIRST);
  const toggle = (name) => {
    const next = chosen.includes(name) ? chosen.filter((c) => c !== name) : [...chosen, name].slice(-CURVES_MOST);
    setQuery({ classes: next.join(',') });
  };
  const lines = (list, x, y, figure) =>
    (list || [])
      .filter((c) => chosen.includes(String(c.class)))
      .map((c) => ({ label: String(c.class), colour: names.indexOf(String(c.class)), x: c[x].map(number), y: c[y].map(number), figure: format.value(c[figure]) }));
  return html`
    <h2>Curves <small>one class against all others, on the test split</small></h2>
    ${names.length > 1 && html`<div class="chips" role="group" aria-label="Classes">${names.map((n) => html`<button aria-pressed=${String(chosen.includes(n))} onClick=${() => toggle(n)}>${n}</button>`)}</div>`}
    <div class="charts">
      ${split.pr?.length > 0 && html`<${Plot} title="Precision and recall" note="beside each class: its average precision" curves=${lines(split.pr, 'recall', 'precision', 'average_precision')} xRange=${UNIT} yRange=${UNIT} xLabel="recall" yLabel="precision" />`}
      ${split.roc?.length > 0 && html`<${Plot} title="ROC" note="beside each class: the area under its curve" curves=${lines(split.roc, 'fpr', 'tpr', 'auc')} xRange=${UNIT} yRange=${UNIT} xLabel="false positive rate" yLabel="true positive rate" diagonal />`}
    </div>
  `;
}

/* Each sample as a point: on the diagonal the prediction is right. */
export function Residuals({ residuals }) {
  if (!residuals?.target?.length) return null;
  const first = (list) => list.map((v) => number(Array.isArray(v) ? v[0] : v));
  const [target, prediction] = [first(residuals.target), first(residuals.prediction)];
  return html`
    <h2>Predictions <small>of ${format.count(target.length)} test samples, in the target's own units</small></h2>
    <div class="charts">
      <${Plot} title="Predicted and true" points=${{ x: target, y: prediction, colour: 0 }} xLabel="true" yLabel="predicted" diagonal />
      <${Plot} title="Residuals" points=${{ x: target, y: prediction.map((p, i) => p - target[i]), colour: 1 }} xLabel="true" yLabel="predicted − true" />
    </div>
  `;
}
