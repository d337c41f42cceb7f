// The list of jobs as a leaderboard: which columns there are, and what stands in them.

import * as format from './format.js';
import { nameOf } from './pointer.js';
import { number } from './smooth.js';

/* Columns of the job itself.  All others are series ("test/accuracy") or places in the spec ("/optimizer/lr"). */
export const OWN = { progress: 'Progress', eta: 'Time left', created_at: 'Created', owner: 'Owner', project: 'Project', time: 'Running time' };
export const DEFAULT_COLUMNS = ['progress', 'eta', 'train/loss', 'test/accuracy', 'created_at', 'owner'];
const COLUMNS_MOST = 24; // what the server takes, with room

/* The columns that the address asks for; the usual ones where it does not. */
export function columnsOf(text) {
  if (text === null || text === undefined) return DEFAULT_COLUMNS;
  return [...new Set(text.split(',').filter(Boolean))].slice(0, COLUMNS_MOST);
}

/* The address' word for COLUMNS; '' for the usual ones. */
export function columnsText(columns) {
  return columns.join(',') === DEFAULT_COLUMNS.join(',') ? '' : columns.join(',');
}

/* Whether a higher value of a series is the better one. */
export function isHighBetter(name) {
  return !/loss|error|mae|mse|perplexity|grad_norm|seconds$|bytes/.test(name);
}

export function isShare(name) {
  return /(accuracy|top_?\d*|precision|recall|f1)([@_]\w+)?$/.test(name);
}

/* The head of a column: "Test accuracy", "Validation MAE", "optimizer lr". */
export function headOf(column) {
  if (OWN[column]) return OWN[column];
  if (column.startsWith('/')) return pointerText(column);
  const words = measureText(column.replace('/', ' ')).replace(/^val /, 'validation ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/* "/optimizer/lr" as "optimizer lr", "/model/layers/3/p" as "layers 3 p": its last names, and what a number counts. */
function pointerText(pointer) {
  const names = pointer.slice(1).split('/').map(nameOf);
  return names.slice(/^\d+$/.test(names[names.length - 2]) ? -3 : -2).join(' ');
}

/* "top_3" as "top 3", "mae" as "MAE" */
export function measureText(name) {
  return format.words(name).replace(/\b(mae|mse|rmse|auc|roc|r2|f1|bce)\b/g, (m) => m.toUpperCase());
}

/* What a sort by COLUMN is called in the address, the better end first; '' where a column does not sort. */
export function sortsOf(column) {
  if (['progress', 'eta', 'time'].includes(column)) return [];
  const high = column === 'created_at' || (!OWN[column] && !column.startsWith('/') && isHighBetter(column));
  return high ? [`-${column}`, column] : [column, `-${column}`];
}

/* The text of a job's value in a series or a place of its spec. */
export function cellText(job, column) {
  if (column.startsWith('/')) {
    const v = job.columns?.[column];
    if (v === null || v === undefined) return format.NOTHING;
    if (typeof v === 'number') return format.value(v);
    return typeof v === 'string' ? v : JSON.stringify(v);
  }
  return figureText(column, job.summary?.[column]);
}

/* A figure of the series NAME: shares in percent. */
export function figureText(name, given) {
  if (given === null || given === undefined) return format.NOTHING;
  return isShare(name) ? format.percent(number(given), 2) : format.value(given);
}

/* The series that any of the jobs has a last value of, results first. */
export function seriesOf(items) {
  const names = [...new Set(items.flatMap((j) => Object.keys(j.summary || {})))];
  const rank = (n) => ['test/', 'val/', 'train/'].findIndex((p) => n.startsWith(p));
  const order = (n) => (rank(n) < 0 ? 9 : rank(n));
  return names.sort((a, b) => order(a) - order(b) || a.localeCompare(b));
}

/* Of each group [{spec_diff: {pointer: value}}] the settings [{pointer, value}] in which the groups differ among themselves; the
 * model's come last, since there are many of them, and what a group does not have is left out. */
export function differences(groups) {
  const pointers = [...new Set(groups.flatMap((g) => Object.keys(g.spec_diff || {})))];
  const said = (g, p) => JSON.stringify(g.spec_diff?.[p] ?? null);
  const differing = pointers.filter((p) => groups.some((g) => said(g, p) !== said(groups[0], p)));
  differing.sort((a, b) => a.startsWith('/model') - b.startsWith('/model'));
  return groups.map((g) => differing.map((pointer) => ({ pointer, value: g.spec_diff?.[pointer] ?? null })).filter((s) => s.value !== null));
}
