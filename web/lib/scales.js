// Round numbers for axes, and the way from a value to a place.

/* About N round values from LOW to HIGH, both ends included where they are round: 0, 0.2, 0.4 ... */
export function niceTicks(low, high, n = 5) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [];
  if (low === high) return [low];
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/* The range of all VALUES with a little room, so that no point lies on the frame. */
export function rangeOf(values, room = 0.04) {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const more = (high - low) * room || Math.abs(low) * room || 1;
  return [low - more, high + more];
}

/* The index in XS, YS of the point nearest to (X, Y), by distances in units of WIDTH and HEIGHT; -1: there is none. */
export function nearest(xs, ys, x, y, width, height) {
  let best = -1;
  let least = Infinity;
  for (let i = 0; i < xs.length; i++) {
    const d = ((xs[i] - x) / width) ** 2 + ((ys[i] - y) / height) ** 2;
    if (d < least) {
      least = d;
      best = i;
    }
  }
  return best;
}
