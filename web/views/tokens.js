// Who may use the server: for administrators.

import { html, render } from 'htm/preact';
import { useState } from 'preact/hooks';
import { tokens } from '../api.js';
import * as format from '../lib/format.js';
import { ConfirmButton, ErrorBox, Time, useLoaded } from './parts.js';

const SCOPES = [
  ['read', 'read: look at everything'],
  ['run', 'run: also submit jobs and change one’s own'],
  ['admin', 'admin: everything, tokens too'],
];
const EXPIRIES = [
  [30, 'in 30 days'],
  [90, 'in 90 days'],
  [365, 'in a year'],
  [0, 'never'],
];

export function title() {
  return 'Tokens';
}

export function mount(el) {
  render(html`<${Tokens} />`, el);
  return () => render(null, el);
}

function Tokens() {
  const { data, error, again } = useLoaded(() => tokens.list(), 'tokens');
  const [made, setMade] = useState(null);
  const [failed, setFailed] = useState(null);

  const create = async (event) => {
    event.preventDefault();
    const form = event.target;
    const { owner, scope, note, days } = Object.fromEntries(new FormData(form));
    const expiry = Number(days) ? { expires: new Date(Date.now() + Number(days) * 86400e3).toISOString() } : {};
    try {
      setMade(await tokens.create({ owner, scope, ...(note && { note }), ...expiry }));
      setFailed(null);
      form.reset();
      again();
    } catch (e) {
      setFailed(e);
    }
  };
  const revoke = async (id) => {
    try {
      await tokens.revoke(id);
      setFailed(null);
    } catch (e) {
      setFailed(e);
    }
    again();
  };

  return html`
    <div class="head"><h1>Tokens</h1></div>
    <p class="muted">Until the first token is made, a server that listens on this machine alone asks nobody who they are.</p>
    <${ErrorBox} error=${error} retry=${again} />
    <${ErrorBox} error=${failed} />
    ${made && html`<div class="card made" role="status"><b>The new token. It is shown this once:</b><pre>${made.token}</pre></div>`}
    ${data && html`<${List} items=${data.items} revoke=${revoke} />`}
    ${!error &&
    html`
      <form class="card form" onSubmit=${create}>
        <h2>New token</h2>
        <label>Owner <input name="owner" required maxlength="64" placeholder="ada" /></label>
        <label>Scope <select name="scope">${SCOPES.map(([name, text]) => html`<option value=${name} selected=${name === 'run'}>${text}</option>`)}</select></label>
        <label>Expires <select name="days">${EXPIRIES.map(([days, text]) => html`<option value=${days} selected=${days === 90}>${text}</option>`)}</select></label>
        <label>Note <input name="note" maxlength="200" placeholder="what it is for" /></label>
        <button class="primary">Make it</button>
      </form>
    `}
  `;
}

function List({ items, revoke }) {
  if (items.length === 0) return html`<p class="empty small">No token was made yet.</p>`;
  return html`
    <div class="scroll">
      <table>
        <thead><tr><th>Owner</th><th>Scope</th><th>Note</th><th>Made</th><th>Expires</th><th>Last used</th><th></th></tr></thead>
        <tbody>
          ${items.map(
            (t) => html`
              <tr key=${t.id}>
                <th scope="row">${t.owner}</th>
                <td>${t.scope}</td>
                <td>${t.note}</td>
                <td><${Time} at=${t.created_at} /></td>
                <td>${t.expires_at ? format.moment(t.expires_at) : 'never'}</td>
                <td>${t.used_at ? html`<${Time} at=${t.used_at} />` : 'never'}</td>
                <td><${ConfirmButton} text="Revoke" confirm="Revoke it?" onConfirm=${() => revoke(t.id)} /></td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
