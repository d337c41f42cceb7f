// A new data set: from an address, from files dropped here, or from a folder of the server; what it is, it finds out by itself.

import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { address, datasets } from '../api.js';
import { FORMATS, documentOf, layoutText, nameFrom } from '../lib/datasets.js';
import * as format from '../lib/format.js';
import { go } from '../lib/route.js';
import { Field, OtherFaults } from './fields.js';
import { Choice, Shell, quoted } from './parts.js';

const SOURCES = [
  ['upload', 'Upload files'],
  ['url', 'From an address'],
  ['folder', 'From a folder of the server'],
];
const POINTERS = ['/name', '/url', '/files', '/sha256', '/folder', '/max_bytes', '/format'];

export function title() {
  return 'Add dataset';
}

export function mount(el, params) {
  render(html`<${AddDataset} name=${params.query.get('name') || ''} />`, el);
  return () => render(null, el);
}

const EMPTY = { name: '', url: '', sha256: '', folder: '', type: 'auto', header: '', delimiter: '', image_size: '', test: '' };
const NO_COLUMNS = { path_column: '', label_column: '', text_column: '' };

function AddDataset({ name }) {
  const [source, setSource] = useState('upload');
  const [values, setValues] = useState({ ...EMPTY, name });
  const [columns, setColumns] = useState(NO_COLUMNS);
  const [files, setFiles] = useState([]);
  const [sent, setSent] = useState(null); // while uploading: {index, bytes}
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const stop = useRef(null);
  const there = useRef({ name: '', files: new Set() }); // what the server has already, and under which name
  useEffect(() => () => stop.current?.abort(), []);

  const set = (field) => (e) => setValues({ ...values, [field]: e.target.value });
  const setColumn = (field) => (e) => setColumns({ ...columns, [field]: e.target.value });
  const suggest = (from) => (values.name ? {} : { name: nameFrom(from) });
  const pick = (list) => {
    if (list.length === 0) return;
    const names = new Set(list.map((f) => f.name));
    setFiles([...files.filter((f) => !names.has(f.name)), ...list]);
    setValues({ ...values, ...suggest(list[0].name) });
  };

  const send = async (to) => {
    if (there.current.name !== to) there.current = { name: to, files: new Set() };
    for (const [index, file] of files.entries()) {
      if (there.current.files.has(file)) continue; // only the rest of the form was refused
      setSent({ index, bytes: 0 });
      await datasets.upload(to, file, { signal: stop.current.signal, onProgress: (bytes) => setSent({ index, bytes }) });
      there.current.files.add(file);
    }
  };

  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    stop.current = new AbortController();
    try {
      const body = documentOf(source, values, columns);
      if (source === 'upload') await send(body.name);
      await datasets.create(body);
      go(`/datasets/${encodeURIComponent(body.name)}`);
    } catch (e) {
      if (e.name !== 'AbortError') setProblem(e);
      setSent(null);
      setBusy(false);
    }
  };

  const isImages = ['auto', 'image_folder', 'image_csv'].includes(values.type);
  const isTable = !['idx', 'cifar', 'image_folder', 'arrays', 'text'].includes(values.type);
  return html`
    <div class="head">
      <div>
        <p class="crumbs"><a href="/datasets">Datasets</a></p>
        <h1>Add dataset</h1>
      </div>
    </div>
    <form class="add" onSubmit=${submit}>
      <div class="card form">
        <${Choice} label="Where the data are" value=${source} options=${SOURCES} onChange=${setSource} />
        ${source === 'upload' && html`<${Drop} files=${files} sent=${sent} pick=${pick} drop=${(f) => setFiles(files.filter((g) => g !== f))} />`}
        ${source === 'url' &&
        html`
          <${Field} label="Address" pointer=${['/url', '/files']} problem=${problem} hint="http or https; several files: one address after the other">
            <textarea rows="2" required placeholder="https://example.org/houses.csv" value=${values.url} onInput=${set('url')} onBlur=${() => setValues({ ...values, ...suggest(values.url.trim().split(/\s+/)[0]) })}></textarea>
          <//>
          <${Field} label="SHA-256" pointer="/sha256" problem=${problem} hint="optional: what comes is checked against it">
            <input value=${values.sha256} onInput=${set('sha256')} pattern="[0-9a-fA-F]{64}" title="64 hexadecimal digits" autocomplete="off" spellcheck=${false} />
          <//>
        `}
        ${source === 'folder' &&
        html`<${Field} label="Folder" pointer="/folder" problem=${problem} hint="below the folder that the server was started with (--data-root); it is only read">
          <input required value=${values.folder} onInput=${set('folder')} onBlur=${() => setValues({ ...values, ...suggest(values.folder) })} placeholder="photographs/birds" />
        <//>`}
        <${Field} label="Name" pointer="/name" problem=${problem} hint="by which jobs know it">
          <input required maxlength="64" value=${values.name} onInput=${set('name')} placeholder="houses" autocomplete="off" spellcheck=${false} />
        <//>
        <${Field} label="What it is" pointer="/format/type" problem=${problem} hint=${layoutText(values.type)}>
          <select value=${values.type} onChange=${set('type')}>${FORMATS.map(([type, text]) => html`<option value=${type}>${type}: ${text}</option>`)}</select>
        <//>
        <details>
          <summary>More options</summary>
          <div class="form-grid">
            ${isImages && html`<${Field} label="Side of pictures" pointer="/format/image_size" problem=${problem} hint="empty: as they are"><input type="number" min="1" max="4096" value=${values.image_size} onInput=${set('image_size')} placeholder="64" /><//>`}
            <${Field} label="Test share" pointer="/format/test" problem=${problem} hint="kept back where there is no test part"><input type="number" min="0" max="0.9" step="any" value=${values.test} onInput=${set('test')} placeholder="0" /><//>
            ${isTable &&
            html`
              <${Field} label="First line" pointer="/format/header" problem=${problem}>
                <select value=${values.header} onChange=${set('header')}><option value="">find out</option><option value="yes">names of columns</option><option value="no">values</option></select>
              <//>
              <${Field} label="Delimiter" pointer="/format/delimiter" problem=${problem} hint="empty: find out"><input maxlength="1" value=${values.delimiter} onInput=${set('delimiter')} /><//>
              <${Field} label="Column of labels" pointer="/format/label_column" problem=${problem}><input value=${columns.label_column} onInput=${setColumn('label_column')} /><//>
              <${Field} label="Column of texts" pointer="/format/text_column" problem=${problem}><input value=${columns.text_column} onInput=${setColumn('text_column')} /><//>
              <${Field} label="Column of paths" pointer="/format/path_column" problem=${problem}><input value=${columns.path_column} onInput=${setColumn('path_column')} /><//>
            `}
          </div>
        </details>
        <${OtherFaults} problem=${problem} pointers=${POINTERS} />
        <div class="actions">
          <button class="primary" disabled=${busy || (source === 'upload' && files.length === 0 && !name)}>${busy ? (sent ? 'Uploading…' : 'Adding…') : 'Add dataset'}</button>
          ${busy && sent && html`<button type="button" onClick=${() => stop.current.abort()}>Cancel</button>`}
        </div>
      </div>
      <aside><${ByCurl} source=${source} document=${documentOf(source, values, columns)} files=${files} /></aside>
    </form>
  `;
}

/* Files to send: dropped here, or chosen.  SENT {index, bytes}: the one on its way, those before it are there. */
function Drop({ files, sent, pick, drop }) {
  const [over, setOver] = useState(false);
  const take = (event) => {
    event.preventDefault();
    setOver(false);
    pick([...event.dataTransfer.files]);
  };
  const share = (k, f) => (!sent || k > sent.index ? 0 : k < sent.index ? 1 : sent.bytes / (f.size || 1));
  return html`
    <label class=${`drop ${over ? 'over' : ''}`} onDragOver=${(e) => (e.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)} onDrop=${take}>
      <input type="file" multiple class="hidden" onChange=${(e) => pick([...e.target.files])} />
      <b>Drop files here, or choose them</b>
      <small>CSV, ZIP or TAR of pictures, NPY, NPZ, text: as they are, compressed or not</small>
    </label>
    ${files.length > 0 &&
    html`<ul class="uploads">
      ${files.map(
        (f, k) => html`
          <li key=${f.name}>
            <span class="long">${f.name}</span> <small>${format.bytes(f.size)}</small>
            ${sent ? html`<progress max="1" value=${share(k, f)} data-state="running" aria-label=${`Sent of ${f.name}`}></progress>` : html`<button type="button" class="quiet" aria-label=${`Leave out ${f.name}`} onClick=${() => drop(f)}>✕</button>`}
          </li>
        `,
      )}
    </ul>`}
  `;
}

/* The same with curl. */
function ByCurl({ source, document, files }) {
  const name = encodeURIComponent(document.name || 'NAME');
  const sends = source === 'upload' ? (files.length ? files : [{ name: 'FILE' }]).map((f) => `curl -T '${f.name}' ${address(`/datasets/${name}/files/`)}`) : [];
  const lines = [...sends, `curl ${address('/datasets')} --json '${quoted({ ...document, name: document.name || 'NAME' })}'`];
  return html`<h2>The same with curl</h2><${Shell} text=${lines.join('\n')} />`;
}
