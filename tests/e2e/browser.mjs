// A browser for tests: Debian's Chromium without what it does by itself, and pages that collect what goes wrong on them.

import { chromium } from 'playwright-core';
import { patience, sleep } from '../api/harness.mjs';

const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];
const AS_ROOT = process.getuid() === 0 ? ['--no-sandbox'] : [];
const PAGE_MS = 15000 * patience;

let browser;

export const closeBrowser = () => browser?.close();

/* A page on the server at URL.  Whatever the browser complains about, its security policy first of all, is among COMPLAINTS. */
export async function newPage(url, options = {}) {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: [...QUIET, ...AS_ROOT] });
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 900 }, ...options });
  await context.addInitScript(PIXELS);
  const page = await context.newPage();
  page.setDefaultTimeout(PAGE_MS);
  const complaints = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => complaints.push(`exception: ${e.stack}`));
  return { page, complaints, close: () => context.close() };
}

/* In the page: the pixels of CANVAS, read from a copy (the browser warns of canvases that are read again and again). */
const PIXELS = `window.pixelsOf = (canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, canvas.width, canvas.height).data;
};`;

/* Ask CHECK until it is true.  The page's own waitForFunction needs eval, which the security policy forbids. */
export async function until(check, what) {
  const deadline = Date.now() + PAGE_MS;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come about within ${PAGE_MS} ms`);
    await sleep(50);
  }
}
