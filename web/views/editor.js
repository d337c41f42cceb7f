// A small editor for JSON: a text area with line numbers, colours behind the text, and marks on lines with faults.

import { html } from 'htm/preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/* MARKS: [{line, column, detail}], of a line the first counts.  HANDLE.current gets {show(offset)}, which puts the cursor there. */
export function Editor({ text, onInput, marks, handle }) {
  const area = useRef(null);
  const back = useRef(null);
  const gutter = useRef(null);
  const lines = text.split('\n');
  const faults = new Map([...marks].reverse().map((m) => [m.line, m]));

  const follow = () => {
    back.current.scrollTop = area.current.scrollTop;
    back.current.scrollLeft = area.current.scrollLeft;
    gutter.current.scrollTop = area.current.scrollTop;
  };
  useLayoutEffect(follow, [text]);
  handle.current = {
    show(offset) {
      area.current.focus();
      area.current.setSelectionRange(offset, offset);
      const line = text.slice(0, offset).split('\n').length;
      const height = area.current.scrollHeight / Math.max(1, lines.length);
      area.current.scrollTop = Math.max(0, (line - 4) * height);
    },
  };

  return html`
    <div class="editor">
      <div class="gutter" ref=${gutter} aria-hidden="true">
        ${lines.map((_, i) => html`<span class=${faults.has(i + 1) ? 'fault' : ''} title=${faults.get(i + 1)?.detail}>${i + 1}</span>`)}
      </div>
      <div class="sheet">
        <pre ref=${back} aria-hidden="true">${lines.map((line, i) => html`<span class=${faults.has(i + 1) ? 'line fault' : 'line'}>${coloured(line, faults.get(i + 1)?.column)}</span>`)}</pre>
        <textarea
          ref=${area}
          value=${text}
          spellcheck=${false}
          autocomplete="off"
          autocapitalize="off"
          wrap="off"
          aria-label="The job, as JSON"
          aria-invalid=${String(marks.length > 0)}
          onInput=${(e) => onInput(e.target.value)}
          onScroll=${follow}
          onKeyDown=${enter}
        ></textarea>
      </div>
    </div>
  `;
}

/* A new line begins as deep as the one before. */
function enter(event) {
  if (event.key !== 'Enter' || event.ctrlKey || event.metaKey) return;
  const el = event.target;
  const before = el.value.slice(0, el.selectionStart);
  const line = before.slice(before.lastIndexOf('\n') + 1);
  const indent = /^\s*/.exec(line)[0] + (/[[{]\s*$/.test(line) ? '  ' : '');
  if (!indent) return;
  event.preventDefault();
  el.setRangeText(`\n${indent}`, el.selectionStart, el.selectionEnd, 'end');
  el.dispatchEvent(new Event('input', { bubbles: true }));
}

const TOKENS = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/* One line of JSON with its names, texts, numbers and words told apart; what stands at COLUMN (from 1) is underlined. */
function coloured(line, column = 0) {
  const out = [];
  let at = 0;
  const emit = (text, kind) => {
    const k = column - 1 - at; // where the fault is in TEXT
    at += text.length;
    const here = k >= 0 && k < text.length;
    if (kind) out.push(html`<span class=${here ? `${kind} at` : kind}>${text}</span>`);
    else if (here) out.push(text.slice(0, k), html`<span class="at">${text[k]}</span>`, text.slice(k + 1));
    else out.push(text);
  };
  for (const m of line.matchAll(TOKENS)) {
    emit(line.slice(at, m.index));
    emit(m[1] || m[0], `j-${m[1] ? (m[2] ? 'key' : 'text') : m[3] ? 'number' : 'word'}`);
    emit(m[2] || '');
  }
  emit(line.slice(at));
  if (column > line.length) out.push(html`<span class="at"> </span>`); // something is missing at the end
  out.push('\n');
  return out;
}
