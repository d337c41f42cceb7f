// Histograms over steps as one picture: every step a column of cells on bins that all steps share.

/* ANSWER {steps, edges: [[...]], counts: [[...]]}, each step with bins of its own, on N common bins from the lowest to the highest
 * edge.  A count is spread evenly over its bin.  Returns {steps, low, high, rows: [n_steps][N] shares of the step's samples}; null
 * where there is nothing finite. */
export function heat(answer, n = 48) {
  const ends = (answer.edges || []).flatMap((e) => [e[0], e[e.length - 1]]).filter(Number.isFinite);
  if (ends.length === 0) return null;
  let low = Math.min(...ends);
  let high = Math.max(...ends);
  if (!(high > low)) {
    const room = Math.abs(low) * 0.1 || 1;
    low -= room;
    high += room;
  }
  const rows = answer.edges.map((edges, k) => spread(edges, answer.counts[k] || [], low, (high - low) / n, n));
  return { steps: answer.steps.slice(), low, high, rows };
}

function spread(edges, counts, low, width, n) {
  const row = new Array(n).fill(0);
  const sum = counts.reduce((a, b) => a + b, 0) || 1;
  counts.forEach((count, i) => {
    const from = (edges[i] - low) / width;
    const to = (edges[i + 1] - low) / width;
    if (!(count > 0) || !Number.isFinite(from) || !Number.isFinite(to)) return;
    if (to <= from) {
      row[clamp(Math.floor(from), n)] += count / sum;
      return;
    }
    for (let b = clamp(Math.floor(from), n); b <= clamp(Math.ceil(to) - 1, n); b++) {
      const part = Math.min(to, b + 1) - Math.max(from, b);
      if (part > 0) row[b] += ((count / sum) * part) / (to - from);
    }
  });
  return row;
}

function clamp(i, n) {
  return Math.max(0, Math.min(n - 1, i));
}

/* What belongs together: names "weights/0.weight" and "gradients/0.weight" are one parameter's.  Returns
 * [{parameter, names: [...]}] in the order in which parameters are first met. */
export function byParameter(names) {
  const groups = new Map();
  for (const name of names) {
    const parameter = name.slice(name.indexOf('/') + 1);
    if (!groups.has(parameter)) groups.set(parameter, []);
    groups.get(parameter).push(name);
  }
  return [...groups].map(([parameter, list]) => ({ parameter, names: list.sort().reverse() }));
}
