// The computation graph as boxes and arrows: what is shown at which grain.  The places come from a layout library later.

const CHAR = 7.2; // width of a letter in the boxes, pixels
const BOX_HEIGHT = 44;
const BOX_PADDING = 24;

/* NODES: [{id, op, name, layer, shape, inputs: [ids], backward}].  Returns {boxes, arrows, groups}:
 *   boxes  {id, title, text, kind, node | nodes, group, width, height}
 *   arrows {from, to, text}
 *   groups {id, title}: layers around boxes, when GRAIN is "ops".
 * GRAIN "layers" draws one box for each layer; BACKWARD adds the gradient's nodes. */
export function model(nodes, { grain = 'layers', backward = false } = {}) {
  const shown = backward ? nodes : forward(nodes);
  return grain === 'ops' ? byOp(shown) : byLayer(shown);
}

/* The model alone: without gradient and update, and without the inputs that only those read. */
function forward(nodes) {
  const own = nodes.filter((n) => !n.backward && n.layer !== 'optimizer');
  const read = new Set(own.flatMap((n) => n.inputs || []));
  return own.filter((n) => read.has(n.id) || kindOf(n) !== 'source');
}

function byOp(nodes) {
  const ids = new Set(nodes.map((n) => n.id));
  const names = new Set();
  const boxes = nodes.map((n) => {
    const group = n.layer ? groupId(n) : null;
    if (group) names.add(group);
    return box({ id: `n${n.id}`, title: titleOf(n), text: sizes(n.shape), kind: kindOf(n), nodes: [n], group });
  });
  const arrows = nodes.flatMap((n) => inputsOf(n, ids).map((i) => ({ from: `n${i}`, to: `n${n.id}`, text: '' })));
  return { boxes, arrows: unique(arrows), groups: [...names].map((id) => ({ id, title: id.slice(2) })) };
}

function byLayer(nodes) {
  const place = new Map(); // node id -> box id
  const boxes = new Map();
  for (const n of nodes) {
    const id = n.layer ? groupId(n) : `n${n.id}`;
    place.set(n.id, id);
    if (!boxes.has(id)) boxes.set(id, { id, title: n.layer ? groupId(n).slice(2) : titleOf(n), nodes: [], group: null });
    boxes.get(id).nodes.push(n);
  }
  const all = new Map(nodes.map((n) => [n.id, n]));
  const arrows = [];
  for (const n of nodes) {
    for (const i of inputsOf(n, all)) {
      if (place.get(i) !== place.get(n.id)) arrows.push({ from: place.get(i), to: place.get(n.id), text: sizes(all.get(i).shape) });
    }
  }
  return {
    // A layer is known by its last op: the ones before prepare what that needs.
    boxes: [...boxes.values()].map((b) => box({ ...b, kind: kindOf(b.nodes[b.nodes.length - 1]), text: sizes(b.nodes[b.nodes.length - 1].shape) })),
    arrows: unique(arrows),
    groups: [],
  };
}

/* How much there is to lay out: the boxes, and the rows that every arrow crosses.  Time grows faster than that. */
export function extentOf({ boxes, arrows }) {
  const out = new Map(boxes.map((b) => [b.id, []]));
  const waiting = new Map(boxes.map((b) => [b.id, 0]));
  for (const a of arrows) {
    out.get(a.from)?.push(a.to);
    waiting.set(a.to, waiting.get(a.to) + 1);
  }
  const row = new Map(boxes.map((b) => [b.id, 0]));
  const ready = boxes.filter((b) => waiting.get(b.id) === 0).map((b) => b.id);
  for (let i = 0; i < ready.length; i++) {
    for (const to of out.get(ready[i])) {
      row.set(to, Math.max(row.get(to), row.get(ready[i]) + 1));
      waiting.set(to, waiting.get(to) - 1);
      if (waiting.get(to) === 0) ready.push(to);
    }
  }
  // What reads nothing is put next to its first reader.
  const inner = new Set(arrows.map((a) => a.to));
  for (const [id, readers] of out) if (!inner.has(id) && readers.length > 0) row.set(id, Math.min(...readers.map((to) => row.get(to))) - 1);
  return arrows.reduce((sum, a) => sum + Math.max(1, row.get(a.to) - row.get(a.from)), boxes.length);
}

/* The forward part and the rest apart, each with its own arrows, and the arrows between them. */
export function halves({ boxes, arrows, groups }) {
  const back = new Set(boxes.filter((b) => b.kind === 'backward').map((b) => b.id));
  const half = (is) => {
    const own = boxes.filter((b) => back.has(b.id) === is);
    const held = new Set(own.map((b) => b.group));
    return { boxes: own, arrows: arrows.filter((a) => back.has(a.from) === is && back.has(a.to) === is), groups: groups.filter((g) => held.has(g.id)) };
  };
  return { forward: half(false), backward: half(true), between: arrows.filter((a) => back.has(a.from) !== back.has(a.to)) };
}

function groupId(n) {
  return `${n.backward ? 'b' : 'f'}:${n.layer}${n.backward ? ' (gradient)' : ''}`;
}

/* Inputs and weights are known by their names, all others by what they do. */
function titleOf(n) {
  return kindOf(n) === 'source' && n.name ? n.name : n.op;
}

function inputsOf(n, known) {
  return (n.inputs || []).filter((i) => i !== null && known.has(i));
}

function kindOf(n) {
  if (n.backward) return 'backward';
  if (/^(input|parameter|state|constant|variable|placeholder)$/.test(n.op)) return 'source';
  return n.layer === 'loss' || /loss|entropy/.test(n.op) ? 'loss' : 'op';
}

function box(b) {
  const letters = Math.max(b.title.length, b.text.length, 5);
  return { ...b, width: Math.ceil(letters * CHAR) + BOX_PADDING, height: BOX_HEIGHT };
}

/* "float32[64, 10]" as "64 × 10" */
export function sizes(shape) {
  if (Array.isArray(shape)) return shape.map((n) => n ?? 'B').join(' × ');
  const inner = /\[(.*)\]/.exec(shape || '');
  return inner ? inner[1].split(/,\s*/).filter(Boolean).join(' × ') || 'scalar' : String(shape ?? '');
}

function unique(arrows) {
  const seen = new Set();
  return arrows.filter((a) => {
    const key = `${a.from} ${a.to}`;
    return !seen.has(key) && seen.add(key);
  });
}
