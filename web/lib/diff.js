// Where several JSON documents differ, as rows of a table.

import { token } from './pointer.js';

/* Every leaf of a document by its JSON pointer, in reading order: Map "/optimizer/lr" -> 0.001.  A list is one leaf, since its
 * members are compared as a whole, and so is an empty object. */
export function leaves(document, pointer = '', out = new Map()) {
  const isContainer = document !== null && typeof document === 'object' && !Array.isArray(document);
  const keys = isContainer ? Object.keys(document) : [];
  if (keys.length === 0) {
    out.set(pointer, document);
    return out;
  }
  for (const key of keys) leaves(document[key], `${pointer}/${token(key)}`, out);
  return out;
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

/* A layer in a few words, and its options that those leave out: {head: "conv2d 16, 3x3, padding 1", rest: {bias: true, ...}}.
 * The width of its output needs no name; neutral options and how the weights begin are for those who ask. */
export function layerText(layer) {
  if (typeof layer === 'string') return { head: layer, rest: {} };
  const words = [];
  const rest = {};
  for (const [name, v] of Object.entries(layer)) {
    if (name === 'type') continue;
    if (NEUTRAL.has(`${name} ${text(v)}`) || (v !== null && typeof v === 'object' && !Array.isArray(v))) rest[name] = v;
    else if (name === 'out_channels' || name === 'out_features') words.push(v);
    else if (name === 'kernel_size') words.push(Array.isArray(v) ? v.join('x') : `${v}x${v}`);
    else words.push(`${name.replaceAll('_', ' ')} ${Array.isArray(v) ? v.join('x') : v}`);
  }
  return { head: `${layer.type}${words.length ? ` ${words.join(', ')}` : ''}`, rest };
}

const NEUTRAL = new Set(['bias true', 'stride 1', 'padding 0', 'dilation 1', 'groups 1']);

export function text(v) {
  return v === undefined ? '' : JSON.stringify(v);
}
