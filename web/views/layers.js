// The model layer by layer, as the server's checker saw it.

import { html } from 'htm/preact';
import * as format from '../lib/format.js';

/* ONPICK(pointer): a layer's name was pressed. */
export function Layers({ checked, onPick }) {
  const layers = checked.layers || [];
  return html`
    <div class="scroll">
      <table class="layers">
        <thead><tr><th>Layer</th><th>Output</th><th class="num">Parameters</th><th class="num">FLOPs</th></tr></thead>
        <tbody>
          ${layers.map(
            (l) => html`
              <tr>
                <td>
                  ${onPick && l.pointer ? html`<button class="link" onClick=${() => onPick(l.pointer)}>${l.type}</button>` : l.type}
                  ${l.name && l.name !== l.type && html` <small>${l.name}</small>`}
                </td>
                <td>${format.shape(l.output)}</td>
                <td class="num">${format.count(l.parameters)}</td>
                <td class="num">${format.short(l.flops)}</td>
              </tr>
            `,
          )}
        </tbody>
        <tfoot>
          <tr><th>Together</th><td></td><td class="num">${format.count(checked.parameters)}</td><td class="num">${format.short(checked.flops)}</td></tr>
        </tfoot>
      </table>
    </div>
    ${Number.isFinite(checked.bytes) && html`<p class="muted">About ${format.bytes(checked.bytes)} of memory for a step.</p>`}
  `;
}
