// The computation graph of a job, drawn: layers or single ops, with or without the gradient.  Drag to move, scroll with Ctrl or
// use the buttons and keys to zoom, press a box to see what it is.

import dagre from '@dagrejs/dagre';
import { html } from 'htm/preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import { halves, model, sizes } from '../lib/graphmodel.js';
import { setQuery } from '../lib/route.js';
import { Check, Choice, ErrorBox, isTerminal, useLoaded } from './parts.js';

const ZOOM_STEP = 1.25;
const ZOOM_MOST = 4;
const ZOOM_LEAST = 0.05;
const FIT_MOST = 1.15; // a small graph is not blown up beyond this
const HEIGHT_LEAST = 320; // pixels of the box, however little room the screen has
const BELOW = 16; // pixels between the box and the screen's edge
const PAN_STEP = 60; // pixels for an arrow key
const MARGIN = 16;
const HALVES_SPACE = 48; // pixels between the forward part and the gradient
const RANK_SPACE = 26; // pixels from one row of boxes to the next
const RANK_SPACE_GROUPED = 40; // a group's title stands in there

const GRAINS = [
  ['layers', 'Layers'],
  ['ops', 'Operations'],
];

export function Graph({ job, query }) {
  const { data, error, loading, again } = useLoaded(async () => (job.started_at ? jobs.graph(job.id) : null), `${job.id} ${job.started_at} ${job.progress?.step > 0}`);
  const grain = query.get('grain') === 'ops' ? 'ops' : 'layers';
  const backward = query.get('backward') === '1';
  const [picked, setPicked] = useState(null);
  const layout = useMemo(() => data && arrangeHalves(model(data.nodes || [], { grain, backward })), [data, grain, backward]);
  useEffect(() => setPicked(null), [layout]);

  if (!job.started_at || error?.status === 404) {
    return html`<p class="empty small">${isTerminal(job.state) ? 'This job has no recorded graph.' : 'The graph appears when the job has built its model.'}</p>`;
  }
  if (error) return html`<${ErrorBox} error=${error} retry=${again} />`;
  if (loading || !layout) return null;
  return html`
    <div class="controls">
      <${Choice} label="Grain" value=${grain} options=${GRAINS} onChange=${(g) => setQuery({ grain: g === 'layers' ? '' : g })} />
      <${Check} label="with gradient and update" checked=${backward} onChange=${(on) => setQuery({ backward: on ? 1 : '' })} />
      <span class="muted">${data.nodes.length} operations</span>
    </div>
    <div class="graph-and-detail">
      <${Canvas} layout=${layout} picked=${picked} pick=${setPicked} />
      <${Detail} box=${picked} nodes=${data.nodes} />
    </div>
  `;
}

/* Give every box its place. */
function arrange({ boxes, arrows, groups }) {
  const g = new dagre.graphlib.Graph({ compound: groups.length > 0, directed: true });
  g.setGraph({ rankdir: 'TB', nodesep: 28, ranksep: groups.length > 0 ? RANK_SPACE_GROUPED : RANK_SPACE, marginx: MARGIN, marginy: MARGIN });
  g.setDefaultEdgeLabel(() => ({}));
  for (const group of groups) g.setNode(group.id, { width: 0, height: 0 });
  for (const b of boxes) {
    g.setNode(b.id, { width: b.width, height: b.height });
    if (b.group) g.setParent(b.id, b.group);
  }
  for (const a of arrows) g.setEdge(a.from, a.to, {});
  dagre.layout(g);
  const at = (id) => g.node(id);
  return {
    boxes: boxes.map((b) => ({ ...b, x: at(b.id).x, y: at(b.id).y })),
    arrows: arrows.map((a) => ({ ...a, points: g.edge(a.from, a.to).points })),
    groups: groups.map((group) => ({ ...group, ...at(group.id) })).filter((group) => group.width > 0),
    width: g.graph().width || 1,
    height: g.graph().height || 1,
  };
}

/* The same with the forward part on the left, running down, and the gradient on the right, running up beside it: what a gradient reads
 * of the forward part is then near it, and arrows between the two are not what the places depend on. */
export function arrangeHalves(graph) {
  const { forward, backward, between } = halves(graph);
  if (forward.boxes.length === 0 || backward.boxes.length === 0) return arrange(graph);
  const left = arrange(forward);
  const right = arrange(backward);
  const height = Math.max(left.height, right.height);
  const up = (p) => ({ ...p, x: p.x + left.width + HALVES_SPACE, y: height - p.y });
  const boxes = [...left.boxes, ...right.boxes.map(up)];
  const at = new Map(boxes.map((b) => [b.id, b]));
  const across = between.map((a) => {
    const [from, to] = [at.get(a.from), at.get(a.to)];
    const side = from.x < to.x ? 1 : -1;
    const start = { x: from.x + (side * from.width) / 2, y: from.y };
    const end = { x: to.x - (side * to.width) / 2, y: to.y };
    return { ...a, across: true, points: [start, { x: start.x + side * HALVES_SPACE, y: start.y }, { x: end.x - side * HALVES_SPACE, y: end.y }, end] };
  });
  return {
    boxes,
    arrows: [...left.arrows, ...right.arrows.map((a) => ({ ...a, points: a.points.map(up) })), ...across],
    groups: [...left.groups, ...right.groups.map(up)],
    width: left.width + HALVES_SPACE + right.width,
    height,
  };
}

/* PAINT(box), where there is one: {text: its second line, tone: see .toned in style.css, heat: share of that colour}.  LEAST: the
 * height in pixels that it has in any case. */
export function Canvas({ layout, picked, pick, paint, least = HEIGHT_LEAST }) {
  const svg = useRef(null);
  const [camera, setCamera] = useState({ x: 0, y: 0, k: 1 });
  const drag = useRef(null);

  const fit = () => {
    const { clientWidth: w, clientHeight: h } = svg.current;
    const k = Math.max(ZOOM_LEAST, Math.min(FIT_MOST, w / layout.width, h / layout.height));
    setCamera({ x: (w - layout.width * k) / 2, y: (h - layout.height * k) / 2, k });
  };
  // The box ends where the screen ends, so that all of it and its buttons are seen without scrolling.
  useLayoutEffect(() => {
    const size = () => {
      const top = svg.current.getBoundingClientRect().top + scrollY;
      svg.current.style.height = `${Math.max(least, innerHeight - top - BELOW)}px`;
      fit();
    };
    size();
    addEventListener('resize', size);
    return () => removeEventListener('resize', size);
  }, [layout]);

  const zoom = (factor, cx = svg.current.clientWidth / 2, cy = svg.current.clientHeight / 2) =>
    setCamera(({ x, y, k }) => {
      const to = Math.max(ZOOM_LEAST, Math.min(ZOOM_MOST, k * factor));
      return { k: to, x: cx - ((cx - x) * to) / k, y: cy - ((cy - y) * to) / k };
    });
  const move = (dx, dy) => setCamera((c) => ({ ...c, x: c.x + dx, y: c.y + dy }));

  useEffect(() => {
    const el = svg.current;
    const wheel = (e) => {
      if (!e.ctrlKey && !e.metaKey) return; // the page scrolls
      e.preventDefault();
      const r = el.getBoundingClientRect();
      zoom(Math.exp(-e.deltaY / 300), e.clientX - r.left, e.clientY - r.top);
    };
    el.addEventListener('wheel', wheel, { passive: false });
    return () => el.removeEventListener('wheel', wheel);
  }, []);

  const down = (e) => {
    if (e.button !== 0 || e.target.closest('.box')) return;
    drag.current = { x: e.clientX, y: e.clientY };
    svg.current.setPointerCapture(e.pointerId);
  };
  const moved = (e) => {
    if (!drag.current) return;
    move(e.clientX - drag.current.x, e.clientY - drag.current.y);
    drag.current = { x: e.clientX, y: e.clientY };
  };
  const up = () => (drag.current = null);
  const keys = {
    '+': () => zoom(ZOOM_STEP),
    '=': () => zoom(ZOOM_STEP),
    '-': () => zoom(1 / ZOOM_STEP),
    0: fit,
    ArrowLeft: () => move(PAN_STEP, 0),
    ArrowRight: () => move(-PAN_STEP, 0),
    ArrowUp: () => move(0, PAN_STEP),
    ArrowDown: () => move(0, -PAN_STEP),
  };
  const key = (e) => {
    if (e.ctrlKey || e.metaKey || !keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  };

  // Moving the camera leaves the boxes alone, of which there may be hundreds.
  const drawn = useMemo(
    () => html`
      ${layout.groups.map((g) => html`<${Group} key=${g.id} group=${g} />`)}
      ${layout.arrows.map((a) => html`<path key=${`${a.from} ${a.to}`} class=${`arrow ${picked && (a.from === picked.id || a.to === picked.id) ? 'near' : ''} ${a.across ? 'across' : ''}`} d=${curve(a.points)} marker-end="url(#arrow)"><title>${a.text}</title></path>`)}
      ${layout.boxes.map((b) => html`<${Box} key=${b.id} box=${b} picked=${picked?.id === b.id} pick=${pick} look=${paint?.(b)} />`)}
    `,
    [layout, picked?.id, paint],
  );

  return html`
    <div class="graph">
      <svg ref=${svg} tabindex="0" role="group" aria-label="Computation graph. Arrow keys move it, plus and minus zoom, 0 fits it." onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerCancel=${up} onKeyDown=${key}>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.500 8 4 0 7.500z" /></marker>
        </defs>
        <g transform=${`translate(${camera.x} ${camera.y}) scale(${camera.k})`}>
          ${drawn}
        </g>
      </svg>
      <div class="graph-buttons">
        <button onClick=${() => zoom(ZOOM_STEP)} aria-label="Zoom in">+</button>
        <button onClick=${() => zoom(1 / ZOOM_STEP)} aria-label="Zoom out">−</button>
        <button onClick=${fit}>Fit</button>
      </div>
    </div>
  `;
}

function Group({ group }) {
  const left = group.x - group.width / 2;
  const top = group.y - group.height / 2;
  return html`
    <g class="group">
      <rect x=${left} y=${top} width=${group.width} height=${group.height} rx="10" />
      <text x=${left + 8} y=${top + 14}>${group.title}</text>
    </g>
  `;
}

function Box({ box, picked, pick, look }) {
  const press = (e) => {
    if (e.type === 'keydown' && e.key !== 'Enter' && e.key !== ' ') return;
    e.preventDefault();
    e.stopPropagation();
    pick(picked ? null : box);
  };
  const text = look?.text ?? box.text;
  return html`
    <g class=${`box ${picked ? 'picked' : ''} ${look ? 'toned' : ''}`} style=${look && { '--heat': look.heat }} data-tone=${look?.tone} data-kind=${box.kind} transform=${`translate(${box.x} ${box.y})`} tabindex="0" role="button" aria-pressed=${String(picked)} aria-label=${`${box.title}, ${text}`} onClick=${press} onKeyDown=${press}>
      <rect x=${-box.width / 2} y=${-box.height / 2} width=${box.width} height=${box.height} rx="7" />
      <text y="-4">${box.title}</text>
      <text class="sizes" y="13">${text}</text>
    </g>
  `;
}

/* A smooth path through the POINTS of a layout's edge. */
function curve(points) {
  const [first, ...rest] = points;
  let d = `M${first.x} ${first.y}`;
  for (let i = 0; i < rest.length - 1; i++) {
    const to = i === rest.length - 2 ? rest[i + 1] : { x: (rest[i].x + rest[i + 1].x) / 2, y: (rest[i].y + rest[i + 1].y) / 2 };
    d += `Q${rest[i].x} ${rest[i].y} ${to.x} ${to.y}`;
  }
  return rest.length === 1 ? `${d}L${rest[0].x} ${rest[0].y}` : d;
}

function Detail({ box, nodes }) {
  if (!box) return html`<aside class="graph-detail muted">Press a box to see its operations and shapes.</aside>`;
  const name = new Map(nodes.map((n) => [n.id, n]));
  return html`
    <aside class="graph-detail">
      <h2>${box.title}</h2>
      ${box.nodes.map(
        (n) => html`
          <dl class="about">
            <dt>Operation</dt><dd>${n.op}</dd>
            ${n.name && html`<dt>Name</dt><dd>${n.name}</dd>`}
            ${n.layer && html`<dt>Layer</dt><dd>${n.layer}</dd>`}
            <dt>Shape</dt><dd>${sizes(n.shape)} <small>${n.dtype}</small></dd>
            ${n.inputs?.length > 0 && html`<dt>Inputs</dt><dd>${n.inputs.map((i) => html`<div>${name.get(i)?.name || name.get(i)?.op || i} <small>${sizes(name.get(i)?.shape)}</small></div>`)}</dd>`}
            ${n.attributes && html`<dt>Attributes</dt><dd><code>${JSON.stringify(n.attributes)}</code></dd>`}
          </dl>
        `,
      )}
    </aside>
  `;
}
