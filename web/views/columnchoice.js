// Which columns the leaderboard has: those of the job, the series that came, and the settings in which the listed jobs differ.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { jobs } from '../api.js';
import { DEFAULT_COLUMNS, OWN, columnsText, headOf, seriesOf } from '../lib/leaderboard.js';
import { setQuery } from '../lib/route.js';
import { Check, useLoaded } from './parts.js';

const COMPARED_MOST = 20; // what the server compares in one answer
const NOT_OFFERED = /^\/(name|project|tags|notes)(\/|$)/;

export function ColumnChoice({ columns, items }) {
  const [open, setOpen] = useState(false);
  const el = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const leave = (e) => (e.key === 'Escape' || (e.type === 'pointerdown' && !el.current.contains(e.target))) && setOpen(false);
    addEventListener('keydown', leave);
    addEventListener('pointerdown', leave);
    return () => {
      removeEventListener('keydown', leave);
      removeEventListener('pointerdown', leave);
    };
  }, [open]);
  return html`
    <div class="popover" ref=${el}>
      <button aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>Columns</button>
      ${open && html`<${Panel} columns=${columns} items=${items} />`}
    </div>
  `;
}

function Panel({ columns, items }) {
  const compared = items.slice(0, COMPARED_MOST).map((j) => j.id);
  const { data } = useLoaded(async () => (compared.length > 1 ? jobs.compare(compared) : null), compared.join(','));
  const differing = (data?.differences || []).map((d) => d.pointer).filter((p) => !NOT_OFFERED.test(p));
  const pointers = [...new Set([...columns.filter((c) => c.startsWith('/')), ...differing])];
  const series = [...new Set([...columns.filter((c) => !OWN[c] && !c.startsWith('/')), ...seriesOf(items)])];
  const set = (next) => setQuery({ columns: columnsText(next) });
  const toggle = (column) => (on) => set(on ? [...columns, column] : columns.filter((c) => c !== column));
  const add = (event) => {
    event.preventDefault();
    const pointer = new FormData(event.target).get('pointer').trim();
    if (pointer && !columns.includes(pointer)) set([...columns, pointer]);
    event.target.reset();
  };
  const list = (name, offered) =>
    offered.length > 0 && html`<fieldset><legend>${name}</legend>${offered.map((c) => html`<${Check} key=${c} label=${OWN[c] || (c.startsWith('/') ? c : headOf(c))} checked=${columns.includes(c)} onChange=${toggle(c)} />`)}</fieldset>`;
  return html`
    <div class="card column-choice" role="dialog" aria-label="Columns">
      ${list('Job', Object.keys(OWN))}
      ${list('Results', series)}
      ${list('Settings that differ', pointers)}
      <form onSubmit=${add}>
        <input name="pointer" aria-label="Another setting" placeholder="/optimizer/lr" spellcheck=${false} />
        <button>Add</button>
      </form>
      <button class="link" onClick=${() => set(DEFAULT_COLUMNS)}>The usual columns</button>
    </div>
  `;
}
