// Fields of a form with the server's faults beside them: a problem's pointers are looked up, what fits no field stands above.

import { cloneElement } from 'preact';
import { html } from 'htm/preact';
import { useId } from 'preact/hooks';
import { ErrorBox } from './parts.js';

/* The faults of PROBLEM at POINTER or below it. */
export function faultsAt(problem, pointer) {
  return (problem?.errors || []).filter((e) => e.pointer === pointer || e.pointer?.startsWith(`${pointer}/`));
}

/* One labelled control.  POINTER: its place in the document that is sent; several where it stands for several. */
export function Field({ label, pointer = [], problem, hint, children }) {
  const id = useId();
  const faults = [pointer].flat().flatMap((p) => faultsAt(problem, p));
  const describedBy = faults.length > 0 || hint ? `${id}-about` : null;
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${cloneElement(children, { id, 'aria-invalid': faults.length > 0 ? 'true' : null, 'aria-describedby': describedBy })}
      <div id=${`${id}-about`}>
        ${faults.map((f) => html`<em class="fault-text" role="alert">${f.detail}</em>`)}
        ${hint && faults.length === 0 && html`<small>${hint}</small>`}
      </div>
    </div>
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
