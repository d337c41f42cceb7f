// The shell: which view stands for which path, the bar at the top, and going from one view to the next without a reload.
//
// A view is a module with title(params) and mount(el, params), which draws it in EL (again, when its parameters change) and
// returns its unmount.  What a reader would share is in the address: params = {path parts, query}.

import { html, render } from 'htm/preact';
import { onSignInNeeded, session } from './api.js';
import { themeChanged } from './charts.js';
import { go, onGo } from './lib/route.js';
import * as addDatasetView from './views/adddataset.js';
import * as compareView from './views/compare.js';
import * as datasetView from './views/dataset.js';
import * as datasetsView from './views/datasets.js';
import * as jobView from './views/job.js';
import * as jobsView from './views/jobs.js';
import * as modelsView from './views/models.js';
import * as newView from './views/new.js';
import * as newSweepView from './views/newsweep.js';
import * as signInView from './views/signin.js';
import * as sweepView from './views/sweep.js';
import * as sweepsView from './views/sweeps.js';
import * as systemView from './views/system.js';
import * as tokensView from './views/tokens.js';

const ROUTES = [
  { path: /^\/$/, view: jobsView, nav: '/' },
  { path: /^\/jobs\/(?<job>[^/]+)$/, view: jobView, nav: '/' },
  { path: /^\/compare$/, view: compareView, nav: '/' },
  { path: /^\/new$/, view: newView, nav: '/' },
  { path: /^\/datasets$/, view: datasetsView, nav: '/datasets' },
  { path: /^\/datasets\/(?<dataset>[^/]+)$/, view: datasetView, nav: '/datasets' },
  { path: /^\/add-dataset$/, view: addDatasetView, nav: '/datasets' },
  { path: /^\/sweeps$/, view: sweepsView, nav: '/sweeps' },
  { path: /^\/sweeps\/(?<sweep>[^/]+)$/, view: sweepView, nav: '/sweeps' },
  { path: /^\/new-sweep$/, view: newSweepView, nav: '/sweeps' },
  { path: /^\/models$/, view: modelsView, nav: '/models' },
  { path: /^\/system$/, view: systemView, nav: '/system' },
  { path: /^\/tokens$/, view: tokensView, nav: '/system' },
  { path: /^\/sign-in$/, view: signInView, nav: '' },
];

const NAV = [
  ['/', 'Jobs'],
  ['/datasets', 'Datasets'],
  ['/sweeps', 'Sweeps'],
  ['/models', 'Models'],
  ['/system', 'System'],
];

const THEMES = { auto: 'light', light: 'dark', dark: 'auto' };
const THEME_NAMES = { auto: 'as the system', light: 'light', dark: 'dark' };

const app = document.getElementById('app');
const bar = document.createElement('header');
const main = document.createElement('main');
bar.className = 'bar';
main.id = 'main';
app.append(bar, main);

let current = null; // {view, unmount}
let who = null; // the server's view of the reader: {signed_in, owner, scope, needs_token: a sign-in is asked for at all}

function theme() {
  return document.documentElement.dataset.theme || 'auto';
}

function nextTheme() {
  const next = THEMES[theme()];
  if (next === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('theme', next);
  } catch {
    // No storage: the choice holds until the page is left.
  }
  themeChanged();
  drawBar();
}

async function signOut() {
  await session.end().catch(() => {}); // a session that is gone already is what was wanted
  await askWho();
  go('/sign-in');
}

/* Who the reader is may have changed: the bar says so. */
async function askWho() {
  who = await session.who().catch(() => null); // without an answer the bar offers no sign-out
  drawBar();
}

function drawBar() {
  const here = match()?.nav;
  render(
    html`
      <a class="skip" href="#main">Skip to the content</a>
      <a class="brand" href="/"><img src="/assets/icon.svg" alt="" width="26" height="26" /><b>Tandem</b></a>
      <nav aria-label="Pages">
        ${NAV.map(([path, name]) => html`<a href=${path} aria-current=${here === path ? 'page' : null}>${name}</a>`)}
      </nav>
      <div class="bar-end">
        <button class="quiet" onClick=${nextTheme} title=${`Theme: ${THEME_NAMES[theme()]}`} aria-label=${`Theme: ${THEME_NAMES[theme()]}. Change it.`}>
          ${{ auto: '◐', light: '☀', dark: '☾' }[theme()]}
        </button>
        ${who?.signed_in && who.needs_token && html`<button class="quiet" onClick=${signOut} title=${`${who.owner}, ${who.scope}`}>Sign out</button>`}
      </div>
    `,
    bar,
  );
}

/* Paths that people guess: a job's tabs are parts of one page. */
const GUESSED = /^(\/jobs\/[^/]+)\/([a-z]+)\/?$/;

function correctGuess() {
  const [, job, tab] = GUESSED.exec(location.pathname) || [];
  if (!jobView.TABS.some((t) => t.name === tab)) return;
  const query = new URLSearchParams(location.search);
  query.set('tab', tab);
  history.replaceState(null, '', `${job}?${query}`);
}

function match() {
  const path = location.pathname.replace(/\/+$/, '') || '/';
  for (const route of ROUTES) {
    const found = route.path.exec(path);
    if (found) return { ...route, params: { ...found.groups } };
  }
  return null;
}

function show() {
  correctGuess();
  const route = match();
  drawBar();
  if (!route) {
    current?.unmount();
    current = null;
    document.title = 'Not found · Tandem';
    render(html`<section class="empty"><h1>There is no such page</h1><p><a href="/">All jobs</a></p></section>`, main);
    return;
  }
  const params = { ...route.params, query: new URLSearchParams(location.search) };
  if (current?.view !== route.view) {
    current?.unmount();
    render(null, main);
    scrollTo(0, 0);
  }
  document.title = `${route.view.title(params)} · Tandem`;
  current = { view: route.view, unmount: route.view.mount(main, params) };
}

/* Links within the dashboard change the view; all others, and clicks with a key held, are the browser's. */
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute('download')) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname.startsWith('/api/') || link.getAttribute('href').startsWith('#')) return;
  event.preventDefault();
  go(url.pathname + url.search);
});
window.addEventListener('popstate', show);
window.addEventListener('signed-in', askWho);
onGo(show);
onSignInNeeded(() => {
  if (location.pathname !== '/sign-in') go(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`, { replace: true });
});
show();
askWho();
