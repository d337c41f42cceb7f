// From a JSON pointer to the place in the text that a person is editing.

import { token } from './pointer.js';

/* Parse TEXT as far as it goes and tell where every value begins: Map pointer -> {start, end, line, column, key}.  Lines and
 * columns count from 1; KEY is where the member's name begins.  Broken text gives what stood before the break. */
export function positions(text) {
  const out = new Map();
  let i = 0;
  let line = 1;
  let lineStart = 0;

  const move = (to) => {
    for (; i < to; i++) {
      if (text[i] === '\n') {
        line++;
        lineStart = i + 1;
      }
    }
  };
  const space = () => {
    let to = i;
    while (to < text.length && /\s/.test(text[to])) to++;
    move(to);
  };
  const fail = () => {
    throw new SyntaxError(`line ${line}, column ${i - lineStart + 1}`);
  };
  const string = () => {
    const start = i;
    let to = i + 1;
    while (to < text.length && text[to] !== '"') to += text[to] === '\\' ? 2 : 1;
    if (text[i] !== '"' || to >= text.length) fail();
    move(to + 1);
    return JSON.parse(text.slice(start, to + 1));
  };
  const members = (pointer, close, each) => {
    move(i + 1);
    space();
    if (text[i] === close) return move(i + 1);
    for (let n = 0; ; n++) {
      space();
      each(n, pointer);
      space();
      if (text[i] === close) return move(i + 1);
      if (text[i] !== ',') fail();
      move(i + 1);
    }
  };
  const member = (_, pointer) => {
    const key = { start: i, line, column: i - lineStart + 1 };
    const name = token(string());
    space();
    if (text[i] !== ':') fail();
    move(i + 1);
    space();
    value(`${pointer}/${name}`, key);
  };
  const value = (pointer, key) => {
    const place = { start: i, end: i, line, column: i - lineStart + 1, key };
    out.set(pointer, place);
    if (text[i] === '{') members(pointer, '}', member);
    else if (text[i] === '[') members(pointer, ']', (n) => value(`${pointer}/${n}`));
    else if (text[i] === '"') string();
    else {
      const scalar = /^(?:-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/.exec(text.slice(i, i + 40));
      if (!scalar) fail();
      move(i + scalar[0].length);
    }
    place.end = i;
  };

  try {
    space();
    value('');
  } catch (e) {
    if (!(e instanceof SyntaxError)) throw e;
  }
  return out;
}

/* Line and column of POINTER in TEXT; of its nearest parent that is there when it is not.  Never fails: the first line. */
export function locate(text, pointer) {
  const places = positions(text);
  for (let p = pointer || ''; ; p = p.slice(0, p.lastIndexOf('/'))) {
    const place = places.get(p);
    if (place) {
      const at = p === pointer && place.key ? place.key : place;
      return { line: at.line, column: at.column, exact: p === pointer };
    }
    if (p === '') return { line: 1, column: 1, exact: false };
  }
}

/* Offset in TEXT of a line and column (from 1). */
export function offset(text, line, column = 1) {
  let at = 0;
  for (let n = 1; n < line; n++) {
    const next = text.indexOf('\n', at);
    if (next < 0) return text.length;
    at = next + 1;
  }
  return Math.min(text.length, at + column - 1);
}

/* JSON as a person writes it: short arrays and objects stay on one line. */
export function pretty(value, indent = '', width = 100) {
  const flat = inline(value);
  if (value === null || typeof value !== 'object' || (indent !== '' && indent.length + flat.length <= width)) return flat;
  const inner = `${indent}  `;
  const isArray = Array.isArray(value);
  const parts = Object.keys(value).map((k) => {
    const name = isArray ? '' : `${JSON.stringify(k)}: `;
    return inner + name + pretty(value[k], inner, width - name.length);
  });
  if (parts.length === 0) return flat;
  return `${isArray ? '[' : '{'}\n${parts.join(',\n')}\n${indent}${isArray ? ']' : '}'}`;
}

function inline(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  const parts = Object.keys(value).map((k) => `${JSON.stringify(k)}: ${inline(value[k])}`);
  return parts.length ? `{ ${parts.join(', ')} }` : '{}';
}
