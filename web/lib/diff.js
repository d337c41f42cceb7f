// Where several JSON documents differ, as rows of a table.

/* Every leaf of a document by its JSON pointer, in reading order: Map "/optimizer/lr" -> 0.001.  Empty containers are leaves. */
export function leaves(document, pointer = '', out = new Map()) {
  const isContainer = document !== null && typeof document === 'object';
  const keys = isContainer ? Object.keys(document) : [];
  if (keys.length === 0) {
    out.set(pointer, document);
    return out;
  }
  for (const key of keys) leaves(document[key], `${pointer}/${escape(key)}`, out);
  return out;
}

function escape(key) {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/* Rows {pointer, values: [...], differs} over all DOCUMENTS; a document that lacks the field has undefined there.
 * Pointers stand in the order in which they are first met. */
export function compare(documents) {
  const all = documents.map((d) => leaves(d ?? {}));
  const pointers = merge(all.map((m) => [...m.keys()].filter((p) => p !== '')));
  return pointers.map((pointer) => {
    const values = all.map((m) => m.get(pointer));
    return { pointer, values, differs: values.some((v) => text(v) !== text(values[0])) };
  });
}

/* Keys of several ordered lists in one order: a key that a later list adds stands after the key before it there. */
function merge(lists) {
  const out = [];
  const seen = new Set();
  for (const list of lists) {
    let at = 0;
    for (const key of list) {
      if (seen.has(key)) {
        at = out.indexOf(key) + 1;
        continue;
      }
      out.splice(at, 0, key);
      seen.add(key);
      at++;
    }
  }
  return out;
}

export function text(v) {
  return v === undefined ? '' : JSON.stringify(v);
}
