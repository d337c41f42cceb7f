// What is given to a trained model, and what it answers, in plain values.

/* The columns that a job reads from a table: its features, without the target and what is ignored. */
export function inputColumns(info, data) {
  const targets = [data?.target].flat().filter(Boolean);
  const features = [data?.features].flat().filter(Boolean);
  const all = features.length === 0 || features.includes('*');
  return (info?.columns || []).filter((c) => c.type !== 'ignored' && c.type !== 'text' && !targets.includes(c.name) && (all || features.includes(c.name)));
}

/* What a field of the form begins with: a value in the middle of what the column holds. */
export function firstValue(column) {
  if (column.type === 'category') return column.categories?.[0] ?? '';
  const middle = Number(column.mean);
  if (!Number.isFinite(middle)) return '';
  const isWhole = Number.isInteger(column.min) && Number.isInteger(column.max);
  return String(isWhole ? Math.round(middle) : Number(middle.toPrecision(4)));
}

/* The row that is posted for the VALUES {name: text} of a form: numbers as numbers, what was left empty as null (missing). */
export function rowOf(columns, values) {
  const row = {};
  for (const c of columns) {
    const text = (values[c.name] ?? '').trim();
    if (text === '') row[c.name] = null;
    else row[c.name] = c.type === 'number' && Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return row;
}

/* Pasted JSON as the body of a request: whole, a list of inputs, or one input.  Throws SyntaxError. */
export function bodyOf(text) {
  const value = JSON.parse(text);
  if (value !== null && typeof value === 'object' && !Array.isArray(value) && 'inputs' in value) return value;
  return { inputs: Array.isArray(value) ? value : [value] };
}

const PICTURES = { png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg' };

/* The media type under which a dropped FILE is posted; null: not one of those. */
export function mediaType(file) {
  if (Object.values(PICTURES).includes(file.type)) return file.type;
  const ending = /\.([^.]+)$/.exec(file.name || '')?.[1].toLowerCase();
  return PICTURES[ending] || { npy: 'application/x-npy', json: 'application/json' }[ending] || null;
}

/* What kind of answer a prediction is: "classes", "values", "tags" or "text". */
export function answerKind(prediction) {
  if (prediction.tags) return 'tags';
  if (prediction.values) return 'values';
  if (prediction.text !== undefined) return 'text';
  return 'classes';
}

/* Classes with their probabilities, the likeliest first; where only the label came, that alone. */
export function topOf(prediction) {
  const top = prediction.top?.length ? prediction.top : [{ label: prediction.label, probability: prediction.probability }];
  return top.filter((t) => t.label !== undefined && t.label !== null);
}
