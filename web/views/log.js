// The end of a job's log, followed while the job runs.  Fetched by byte ranges, so nothing is shown twice and nothing is missed.

import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { jobs, logPart } from '../api.js';
import { ErrorBox } from './parts.js';

const FIRST_BYTES = 65536; // of the end, when the page opens
const KEEP_CHARS = 524288; // of the text on the page; all of it is a download away

/* NEWS changes when the log was written to; LINES shows only so many last ones. */
export function Log({ job, news, lines }) {
  const [text, setText] = useState('');
  const [error, setError] = useState(null);
  const at = useRef(null); // bytes that are here already
  const busy = useRef(Promise.resolve());
  const pre = useRef(null);
  const atEnd = useRef(true);

  useEffect(() => {
    busy.current = busy.current.then(async () => {
      try {
        const part = await logPart(job.id, at.current, FIRST_BYTES);
        at.current = part.end;
        if (part.text) setText((t) => (t + part.text).slice(-KEEP_CHARS));
        setError(null);
      } catch (e) {
        setError(e);
      }
    });
  }, [job.id, news]);

  useEffect(() => {
    if (atEnd.current && pre.current) pre.current.scrollTop = pre.current.scrollHeight;
  }, [text]);

  const scrolled = () => {
    const p = pre.current;
    atEnd.current = p.scrollHeight - p.scrollTop - p.clientHeight < 24;
  };
  const all = text.replace(/\n$/, '').split('\n');
  const shown = lines ? all.slice(-lines) : all;
  return html`
    <${ErrorBox} error=${error} />
    <pre class=${`log ${lines ? 'short' : ''}`} ref=${pre} onScroll=${scrolled} tabindex="0" aria-label="Log">
      ${text ? shown.map((line) => html`<span data-level=${levelOf(line)}>${`${line}\n`}</span>`) : html`<span class="muted">Nothing was logged yet.</span>`}
    </pre>
    ${!lines && html`<p><a class="button" href=${jobs.logAddress(job.id)} download=${`${job.name || job.id}.log`}>Download all</a></p>`}
  `;
}

function levelOf(line) {
  return /\b(error|fatal)\b/i.test(line) ? 'error' : /\bwarn(ing)?\b/i.test(line) ? 'warning' : null;
}
