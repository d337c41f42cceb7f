// Labels of axes: as few digits as tell the ticks apart.

/* Texts for the ticks SPLITS of a linear axis. */
export function linearLabels(splits) {
  const finite = splits.filter((s) => Number.isFinite(s));
  if (finite.length === 0) return splits.map(() => '');
  const biggest = Math.max(...finite.map(Math.abs));
  const step = finite.length > 1 ? Math.abs(finite[1] - finite[0]) : biggest || 1;
  const exponent = biggest > 0 && (biggest < 1e-2 || biggest >= 1e7);
  return splits.map((s) => {
    if (!Number.isFinite(s)) return '';
    if (s === 0) return '0';
    if (exponent) return plain(s.toExponential(spread(s, step)));
    if (biggest >= 10000 && step >= 100) return `${trim((s / 1000).toFixed(Math.max(0, digits(step / 1000))))}k`;
    return s.toFixed(digits(step));
  });
}

/* Decimals that are needed to tell multiples of STEP apart. */
function digits(step) {
  if (!(step > 0)) return 0;
  let n = 0;
  let x = step;
  while (n < 12 && Math.abs(x - Math.round(x)) > 1e-9 * Math.max(1, Math.abs(x))) {
    x = step * 10 ** ++n;
  }
  return n;
}

/* Digits after the point that the mantissa of S needs to show STEP. */
function spread(s, step) {
  return Math.min(6, digits(step / 10 ** Math.floor(Math.log10(Math.abs(s)) + 1e-9)));
}

function trim(text) {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function plain(text) {
  return text.replace(/(\.\d*?)0+e/, '$1e').replace('.e', 'e').replace('e+', 'e');
}

/* Texts for the ticks of a logarithmic axis: over many decades only the powers of ten, over few also their 2 and 5. */
export function logLabels(splits) {
  const shown = splits.filter((s) => s > 0);
  const decades = shown.length ? Math.log10(shown[shown.length - 1] / shown[0]) : 0;
  const every = decades > 8 ? 2 : 1;
  return splits.map((s) => {
    if (!(s > 0)) return '';
    const power = Math.floor(Math.log10(s) + 1e-9);
    const lead = Math.round(s / 10 ** power);
    if (lead !== 1 && (decades > 2.5 || (lead !== 2 && lead !== 5))) return '';
    if (lead === 1 && power % every !== 0) return '';
    if (power >= 4 || power <= -4) return `${lead}e${power}`;
    return power >= 0 ? String(lead * 10 ** power) : (lead * 10 ** power).toFixed(-power);
  });
}

/* Seconds since the start: 40 s, 12 min, 1.5 h; one unit for the whole axis. */
export function durationLabels(splits) {
  const biggest = Math.max(0, ...splits.filter((s) => Number.isFinite(s)).map(Math.abs));
  const [size, unit] = biggest >= 3 * 3600 ? [3600, 'h'] : biggest >= 180 ? [60, 'min'] : [1, 's'];
  return linearLabels(splits.map((s) => s / size)).map((text) => (text === '' ? '' : `${text} ${unit}`));
}
