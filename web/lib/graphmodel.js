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
