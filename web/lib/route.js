// Going to another address of the dashboard; app.js shows it.

let shown = () => {};

export function onGo(callback) {
  shown = callback;
}

export function go(address, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  shown();
}

/* Change members of the query; those with an empty value, or their own default, leave the address. */
export function setQuery(values, { replace = true } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) {
    if (value === '' || value === null || value === undefined || value === false) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(location.pathname + (text && `?${text}`), { replace });
}

/* Only paths of this site, so a link cannot lead a reader elsewhere after the sign-in. */
export function localPath(path) {
  return typeof path === 'string' && /^\/(?![/\\])/.test(path) ? path : '/';
}
