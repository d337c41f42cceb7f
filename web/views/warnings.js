// What looks like a mistake in a job, or in the base of a sweep, although it runs: shown until the reader has seen it.

import { html } from 'htm/preact';
import { useState } from 'preact/hooks';

/* How many of the warnings of ID, a job or a sweep, the reader has put away; one that comes later is shown again. */
function seen(id) {
  try {
    return Number(localStorage.getItem(`warnings:${id}`)) || 0;
  } catch {
    return 0; // no storage
  }
}

export function Warnings({ of: { id, warnings = [] } }) {
  const [away, setAway] = useState(() => seen(id));
  if (warnings.length <= away) return null;
  const dismiss = () => {
    setAway(warnings.length);
    try {
      localStorage.setItem(`warnings:${id}`, warnings.length);
    } catch {
      // No storage: they are away until the page is left.
    }
  };
  return html`
    <section class="warnings" aria-label="Warnings">
      <div class="head small">
        <b>${warnings.length === 1 ? 'A warning' : `${warnings.length} warnings`}</b>
        <span class="grow"></span>
        <button class="quiet" onClick=${dismiss} aria-label="Dismiss the warnings">✕</button>
      </div>
      <${WarningList} warnings=${warnings} />
    </section>
  `;
}

export function WarningList({ warnings }) {
  return html`<ul>${warnings.map((w) => html`<li key=${`${w.code} ${w.layer}`}>${w.text} <small>${w.layer && html`layer <code>${w.layer}</code>, `}<code>${w.code}</code></small></li>`)}</ul>`;
}
