// Smoothing and arranging of series: plain arithmetic on columns, no drawing.

/* TensorBoard's smoothing: an exponential moving average, corrected for its start at zero.
 *   last = last * w + (1 - w) * y;  n = n + 1;  y' = last / (1 - w^n)
 * A value that is not finite passes through and leaves the average alone.  W in [0, 1): 0 changes nothing. */
export function smooth(values, weight) {
  const out = new Array(values.length);
  let last = 0;
  let n = 0;
  for (let i = 0; i < values.length; i++) {
    const y = values[i];
    if (!Number.isFinite(y) || !(weight > 0)) {
      out[i] = y;
      continue;
    }
    last = last * weight + (1 - weight) * y;
    n++;
    out[i] = last / (1 - weight ** n);
  }
  return out;
}

/* JSON cannot say NaN: the server writes "NaN", "Infinity", "-Infinity".  null and undefined become NaN too. */
export function number(value) {
  return value === null || value === undefined ? NaN : Number(value);
}

export function emptyColumns() {
  return { step: [], time: [], value: [], min: [], max: [], bad: [], raw: true, total: 0 };
}

/* The server's answer for one series as columns of numbers; times in milliseconds.  BAD marks points (or buckets) that hold
 * a value that is not finite. */
export function columns(answer) {
  const value = (answer.value || []).map(number);
  const time = (answer.time || []).map((t) => (typeof t === 'string' ? Date.parse(t) : t));
  const notFinite = answer.non_finite || [];
  return {
    step: (answer.step || []).slice(),
    time,
    value,
    min: (answer.min || answer.value || []).map(number),
    max: (answer.max || answer.value || []).map(number),
    bad: value.map((v, i) => Boolean(notFinite[i]) || !Number.isFinite(v)),
    raw: answer.raw !== false,
    total: answer.total ?? value.length,
  };
}

/* Append live points [[step, time_ms, value], ...] to COLUMNS.  Steps that are already there are ignored, so a point that
 * came in the answer and again on the stream counts once.  Returns how many were new. */
export function append(columns_, points) {
  let last = columns_.step.length ? columns_.step[columns_.step.length - 1] : -Infinity;
  let added = 0;
  for (const [step, time, given] of points) {
    if (!(step > last)) continue;
    const value = number(given);
    columns_.step.push(step);
    columns_.time.push(typeof time === 'string' ? Date.parse(time) : time);
    columns_.value.push(value);
    columns_.min.push(value);
    columns_.max.push(value);
    columns_.bad.push(!Number.isFinite(value));
    last = step;
    added++;
  }
  columns_.total += added;
  return added;
}

/* Forget every point after STEP: the job went back to its checkpoint. */
export function rewind(columns_, step) {
  let keep = columns_.step.length;
  while (keep > 0 && columns_.step[keep - 1] > step) keep--;
  const dropped = columns_.step.length - keep;
  for (const name of ['step', 'time', 'value', 'min', 'max', 'bad']) columns_[name].length = keep;
  columns_.total -= dropped;
  return dropped;
}

/* The horizontal position of every point.  AXIS: "step", "relative" (seconds since ORIGIN, or the first point), "wall"
 * (milliseconds). */
export function positions(columns_, axis, origin) {
  if (axis === 'wall') return columns_.time;
  if (axis === 'relative') {
    const start = origin ?? columns_.time[0];
    return columns_.time.map((t) => (t - start) / 1000);
  }
  return columns_.step;
}

/* When the earliest point of several columns was made; undefined: there is none. */
export function earliest(all) {
  const times = [...all].map((c) => c.time[0]).filter(Number.isFinite);
  return times.length ? Math.min(...times) : undefined;
}
