// The sign-in: a token is traded for a session cookie that no script can read.

import { html, render } from 'htm/preact';
import { useState } from 'preact/hooks';
import { session } from '../api.js';
import { go, localPath } from '../lib/route.js';
import { ErrorBox } from './parts.js';

export function title() {
  return 'Sign in';
}

export function mount(el, params) {
  render(html`<${SignIn} next=${params.query.get('next')} />`, el);
  return () => render(null, el);
}

function SignIn({ next }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get('token').trim();
    setBusy(true);
    try {
      await session.start(token);
      dispatchEvent(new Event('signed-in'));
      go(localPath(next), { replace: true });
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return html`
    <form class="card sign-in" onSubmit=${submit}>
      <h1>Sign in</h1>
      <p class="muted">This server wants a token. The first one stands in the file <code>admin-token</code> of its data folder; more are made with <code>tandemd token create</code>.</p>
      <label>Token <input name="token" type="password" autocomplete="current-password" required autofocus /></label>
      <${ErrorBox} error=${error} />
      <button class="primary" disabled=${busy}>Sign in</button>
    </form>
  `;
}
