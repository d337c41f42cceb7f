// Fields of a form with the server's faults beside them: a problem's pointers are looked up, what fits no field stands above.

import { cloneElement } from 'preact';
import { html } from 'htm/preact';
import { ErrorBox } from './parts.js';

/* The faults of PROBLEM at POINTER or below it. */
export function faultsAt(problem, pointer) {
  return (problem?.errors || []).filter((e) => e.pointer === pointer || e.pointer?.startsWith(`${pointer}/`));
}

/* One labelled control.  POINTER: its place in the document that is sent; several where it stands for several. */
export function Field({ label, pointer, problem, hint, wide, children }) {
  const faults = [pointer].flat().flatMap((p) => faultsAt(problem, p));
  return html`
    <label class=${`field ${wide ? 'wide' : ''}`}>
      <span>${label}</span>
      ${cloneElement(children, { 'aria-invalid': faults.length > 0 ? 'true' : null })}
      ${faults.map((f) => html`<em class="fault-text" role="alert">${f.detail}</em>`)}
      ${hint && faults.length === 0 && html`<small>${hint}</small>`}
    </label>
  `;
}

/* What the server refused that no field of POINTERS shows. */
export function OtherFaults({ problem, pointers }) {
  if (!problem) return null;
  const shown = pointers.flatMap((p) => faultsAt(problem, p));
  const rest = problem.errors.filter((e) => !shown.includes(e));
  if (problem.errors.length > 0 && rest.length === 0) return null;
  return html`<${ErrorBox} error=${{ title: problem.title, message: problem.message, errors: rest }} />`;
}
