// Which series belong in one chart, and in which colours.

const SPLITS = ['train', 'val', 'validation', 'test'];

/* "train/loss" -> {chart: "loss", split: "train"}; "system/cpu" -> {chart: "system/cpu", split: ""}. */
export function parts(name) {
  const slash = name.indexOf('/');
  const head = slash < 0 ? '' : name.slice(0, slash);
  return SPLITS.includes(head) ? { chart: name.slice(slash + 1), split: head } : { chart: name, split: '' };
}

/* Charts [{name, series: [names]}] in the order a reader wants them: loss, accuracy, other results, then how the run went. */
export function charts(names) {
  const groups = new Map();
  for (const name of names) {
    const { chart } = parts(name);
    if (!groups.has(chart)) groups.set(chart, []);
    groups.get(chart).push(name);
  }
  const list = [...groups].map(([name, series]) => ({ name, series: series.sort(bySplit) }));
  return list.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

function bySplit(a, b) {
  return SPLITS.indexOf(parts(a).split) - SPLITS.indexOf(parts(b).split) || a.localeCompare(b);
}

function rank(chart) {
  if (chart.name === 'loss') return 0;
  if (chart.name === 'accuracy') return 1;
  if (chart.series.some((s) => parts(s).split === 'val' || parts(s).split === 'test')) return 2;
  return parts(chart.series[0]).split === '' ? 4 : 3;
}

/* The number of a series' colour: the splits have their own everywhere. */
export function colour(name) {
  return { train: 0, val: 1, validation: 1, test: 2 }[parts(name).split] ?? 0;
}

/* {step, value} of the best point of COLUMNS; null where none is finite.  A reduced series shows its extremes, so they are found
 * in them, too; of equal ones the first counts, as in the trainer. */
export function bestPoint(columns, isHigh) {
  const values = isHigh ? columns.max : columns.min;
  let best = -1;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    if (best < 0 || (isHigh ? values[i] > values[best] : values[i] < values[best])) best = i;
  }
  return best < 0 ? null : { step: columns.step[best], value: values[best] };
}

/* The series by which a job keeps its best weights; '' where it keeps the last ones alone. */
export function bestSeries(spec) {
  const name = spec?.train?.keep?.best;
  return !name || name === 'none' ? '' : name;
}
