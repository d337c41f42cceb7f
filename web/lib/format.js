// Numbers, sizes and times as people read them.  Every function takes anything and answers with text; "–" stands for nothing.

export const NOTHING = '–';

/* About four significant digits: 0.3127, 12.35, 1,234, 1.2e-5. */
export function value(v) {
  if (v === null || v === undefined || v === '') return NOTHING;
  const x = Number(v);
  if (!Number.isFinite(x)) return String(x);
  const a = Math.abs(x);
  if (a === 0) return '0';
  if (a >= 1e6 || a < 1e-3) return trimExponent(x.toExponential(2));
  if (a >= 1000) return Math.round(x).toLocaleString('en-US');
  return trimZeros(x.toPrecision(4));
}

function trimZeros(text) {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function trimExponent(text) {
  const [mantissa, exponent] = text.split('e');
  return `${trimZeros(mantissa)}e${exponent.replace('+', '')}`;
}

export function count(n) {
  return Number.isFinite(n) ? Math.round(n).toLocaleString('en-US') : NOTHING;
}

/* 1,234,567 as 1.23 M */
export function short(n) {
  if (!Number.isFinite(n)) return NOTHING;
  const units = ['', ' k', ' M', ' G', ' T', ' P'];
  let x = n;
  let i = 0;
  while (Math.abs(x) >= 1000 && i < units.length - 1) {
    x /= 1000;
    i++;
  }
  return i === 0 ? String(Math.round(x)) : trimZeros(x.toPrecision(3)) + units[i];
}

export function bytes(n) {
  if (!Number.isFinite(n)) return NOTHING;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let x = n;
  let i = 0;
  while (x >= 1024 && i < units.length - 1) {
    x /= 1024;
    i++;
  }
  return `${i === 0 ? x : trimZeros(x.toPrecision(3))} ${units[i]}`;
}

/* The space before the sign does not break a line. */
export function percent(fraction, digits = 0) {
  return Number.isFinite(fraction) ? `${(fraction * 100).toFixed(digits)}\u00a0%` : NOTHING;
}

/* Progress never says 100 % before the end. */
export function progress(fraction) {
  if (!Number.isFinite(fraction)) return NOTHING;
  return `${fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100))} %`;
}

/* Seconds as 42 s, 3 min 20 s, 2 h 05 min, 3 d 4 h. */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return NOTHING;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${trimZeros(seconds.toFixed(1))} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  const m = Math.round(s / 60);
  if (m < 48 * 60) return `${Math.floor(m / 60)} h ${pad(m % 60)} min`;
  const h = Math.round(s / 3600);
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

function pad(n) {
  return String(n).padStart(2, '0');
}

/* A moment, as milliseconds or RFC 3339 text, seen from NOW: "just now", "5 min ago", "yesterday, 14:03", "12 Mar, 09:15". */
export function ago(when, now = Date.now()) {
  const t = millis(when);
  if (!Number.isFinite(t)) return NOTHING;
  const s = (now - t) / 1000;
  if (s < 10) return 'just now';
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  const then = new Date(t);
  const today = new Date(now);
  const clock = `${pad(then.getHours())}:${pad(then.getMinutes())}`;
  if (s < 12 * 3600 || then.toDateString() === today.toDateString()) return `${Math.floor(s / 3600)} h ago`;
  const day = `${then.getDate()} ${MONTHS[then.getMonth()]}`;
  return then.getFullYear() === today.getFullYear() ? `${day}, ${clock}` : `${day} ${then.getFullYear()}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/* In full, in the reader's own time zone: 2026-03-12 09:15:07 */
export function moment(when) {
  const t = millis(when);
  if (!Number.isFinite(t)) return NOTHING;
  const d = new Date(t);
  const date = `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
  return `${date} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

export function millis(when) {
  if (when === null || when === undefined || when === '') return NaN;
  return typeof when === 'number' ? when : Date.parse(when);
}

/* "timed_out" as "timed out" */
export function words(name) {
  return String(name ?? '').replaceAll('_', ' ');
}

/* A shape for people: [64, 32, 28, 28] is 64 × 32 × 28 × 28; a size that is not known is B, as the batch. */
export function shape(sizes) {
  if (!Array.isArray(sizes)) return sizes === undefined || sizes === null ? NOTHING : String(sizes);
  return sizes.map((n) => (n === null || n < 0 ? 'B' : n)).join(' × ') || 'scalar';
}
