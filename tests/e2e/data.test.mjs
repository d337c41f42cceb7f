// A lab's own data on the road from a file to a prediction, by the pages alone: a CSV is dropped, a type is put right, a job is
// made of it, its report is read, and the model is asked.  Then the same data in a sweep.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { patience, start } from '../api/harness.mjs';
import { closeBrowser, newPage, until } from './browser.mjs';

const ROWS = 600;
const DISTRICTS = { 1070: 150000, 1190: 400000, 1210: 50000 }; // codes that look like numbers and are none
const JOB_MS = 120000 * patience;

after(closeBrowser);

/* What a flat of AREA costs in a district. */
const priceOf = (area, district) => 2000 * area + DISTRICTS[district];

/* Prices that no straight line through the codes can explain; every 50th area is missing. */
function houses() {
  const codes = Object.keys(DISTRICTS);
  const lines = ['area,district,remarks,price'];
  for (let i = 0; i < ROWS; i++) {
    const area = 30 + ((i * 37) % 120);
    const district = codes[(i * 7) % codes.length];
    lines.push(`${i % 50 === 49 ? '' : area},${district},"remark ${i}, in the ${i % 2 ? 'north' : 'south'}",${priceOf(area, district)}`);
  }
  return lines.join('\n');
}

test('a CSV becomes a data set, a job, a report and a prediction, all on pages', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url);

  await page.goto('/datasets');
  await page.getByText('No dataset is here yet').waitFor();
  await page.getByRole('button', { name: 'Fetch cifar10', exact: true }).waitFor();
  await page.evaluate(() => (window.neverReloaded = true));
  await page.getByRole('link', { name: 'Add dataset' }).first().click();

  // The file is sent in a stream, and the name comes from it.
  await page.locator('input[type="file"]').setInputFiles({ name: 'Houses of Vienna.csv', mimeType: 'text/csv', buffer: Buffer.from(houses()) });
  assert.equal(await page.getByLabel('Name').inputValue(), 'houses-of-vienna');
  await page.getByLabel('What it is').selectOption('table');
  await page.getByRole('button', { name: 'Add dataset' }).click();
  await page.waitForURL(/\/datasets\/houses-of-vienna$/);
  await page.locator('.head .state', { hasText: 'ready' }).waitFor({ timeout: JOB_MS });

  const typeOf = (name) => page.getByLabel(`Type of ${name}`, { exact: true });
  assert.equal(await typeOf('area').inputValue(), 'number');
  assert.equal(await typeOf('price').inputValue(), 'number');
  assert.equal(await page.locator('.columns tr', { has: typeOf('area') }).locator('td').nth(1).textContent(), String(ROWS / 50), 'missing values are counted');
  await page.locator('.columns .bars rect').first().waitFor();
  await page.getByRole('cell', { name: 'remark 0, in the south', exact: true }).waitFor();

  // The codes are no numbers, and nobody learns from remarks: that is put right, and the pack is made again.
  await typeOf('district').selectOption('category');
  await page.getByRole('button', { name: 'Prepare again with one correction' }).waitFor();
  await typeOf('remarks').selectOption('ignored');
  await page.getByRole('button', { name: 'Prepare again with 2 corrections' }).click();
  await page.getByRole('button', { name: 'Prepare again', exact: true }).waitFor({ timeout: JOB_MS });
  await page.locator('.head .state', { hasText: 'ready' }).waitFor({ timeout: JOB_MS });
  assert.equal(await typeOf('district').inputValue(), 'category');
  await page.locator('.columns tr', { has: typeOf('district') }).getByText('1070').waitFor();

  // The job that is offered fits the data; the server agrees with it before it is sent.
  await page.getByRole('link', { name: 'New job with this dataset' }).click();
  await page.getByText('The server accepts this job').waitFor();
  const editor = page.getByRole('textbox', { name: 'The job, as JSON' });
  const job = JSON.parse(await editor.inputValue());
  assert.deepEqual(job.data.target, ['price']);
  assert.equal(job.loss, 'mse');
  job.optimizer.lr = 0.01;
  job.log = { histograms_every: 100 };
  await editor.fill(JSON.stringify(job));
  await page.getByText('The server accepts this job').waitFor();
  await page.getByRole('button', { name: 'Start training' }).click();
  await page.waitForURL(/\/jobs\/[0-9A-Z]{26}$/);
  await page.locator('.head .state', { hasText: 'succeeded' }).waitFor({ timeout: JOB_MS });

  const tabs = page.getByRole('navigation', { name: 'Parts of the job' });
  await tabs.getByRole('link', { name: 'Report' }).click();
  await page.getByRole('heading', { name: 'Predicted and true' }).waitFor();
  const test = page.locator('.splits tbody tr', { hasText: 'Test' });
  const heads = await page.locator('.splits thead th').allTextContents();
  const r2 = Number((await test.locator('th, td').nth(heads.indexOf('R2')).textContent()).split(' ')[0]);
  assert.ok(r2 > 0.95, `the districts explain the prices: R2 is ${r2}`);
  assert.ok((await page.locator('.plot circle').count()) >= ROWS / 10, 'every test sample is a point');

  await tabs.getByRole('link', { name: 'Histograms' }).click();
  await page.locator('.heat canvas').first().waitFor();
  const isInked = () => page.locator('.heat canvas').first().evaluate((c) => window.pixelsOf(c).some((v, i) => i % 4 === 3 && v > 100));
  await until(isInked, 'a histogram with ink');

  // The model is asked by a form that has the columns it was trained on.
  await tabs.getByRole('link', { name: 'Predict' }).click();
  await page.getByLabel('area').fill('100');
  await page.getByLabel('district').selectOption('1190');
  assert.equal(await page.getByLabel('price').count(), 0, 'the target is not asked for');
  await page.getByRole('button', { name: 'Predict', exact: true }).click();
  const price = Number((await page.locator('.values dd').textContent()).replaceAll(',', ''));
  const is = priceOf(100, 1190);
  assert.ok(Math.abs(price - is) < 0.15 * is, `a flat of ${is} is said to cost ${price}`);

  assert.equal(await page.evaluate(() => window.neverReloaded), true, 'the page was never loaded again');

  // Full pages fit a telephone, too.
  await page.setViewportSize({ width: 360, height: 740 });
  const address = new URL(page.url()).pathname;
  for (const [path, sign] of [['/datasets', '.rows tbody tr'], ['/datasets/houses-of-vienna', '.columns tbody tr'], [`${address}?tab=report`, '.plot circle'], [`${address}?tab=predict`, '.form'], [`${address}?tab=histograms`, '.heat canvas'], [`${address}?tab=files`, '.inline-form'], ['/', '.jobs tbody tr']]) {
    await page.goto(path);
    await page.locator(sign).first().waitFor();
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(excess <= 0, `${path} is ${excess} pixels too wide`);
  }
  // A tab is found by the path that people guess, and its samples are a few until more are asked for.
  await page.goto(`${address}/report`);
  await page.getByRole('button', { name: 'Show more' }).click();
  assert.ok((await page.locator('.cells tbody tr').count()) > 6);
  assert.equal(page.url().slice(-`${address}?tab=report`.length), `${address}?tab=report`);
  assert.deepEqual(complaints, []);
  await close();
});

test('a data set that is refused says so at its field, and one that fails says why', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto('/add-dataset');
  await page.getByRole('button', { name: 'From an address' }).click();
  await page.getByLabel('Address').fill('ftp://example.org/x.csv');
  await page.getByLabel('Name').fill('x');
  await page.getByRole('button', { name: 'Add dataset' }).click();
  await page.locator('.field', { hasText: 'Address' }).getByRole('alert').waitFor();
  assert.deepEqual(complaints.filter((c) => !/ 4\d\d /.test(c)), []);
  complaints.length = 0;

  await page.getByRole('button', { name: 'Upload files' }).click();
  await page.locator('input[type="file"]').setInputFiles({ name: 'broken.npy', mimeType: 'application/octet-stream', buffer: Buffer.from('\x93NUMPY and no more', 'latin1') });
  await page.getByLabel('Name').fill('broken');
  await page.getByRole('button', { name: 'Add dataset' }).click();
  await page.waitForURL(/\/datasets\/broken$/);
  await page.locator('.head .state', { hasText: 'failed' }).waitFor({ timeout: JOB_MS });
  assert.match(await page.getByRole('alert').first().textContent(), /broken\.npy/);
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete it?' }).click();
  await page.waitForURL(/\/datasets$/);
  await page.getByText('No dataset is here yet').waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test('a sweep is made on a page, watched to its end, and its best job is found in the leaderboard', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url);
  const plain = (await tandem.request('GET', '/examples/fashion-quick')).json;
  delete plain.data.split;
  const { id } = (await tandem.request('POST', '/jobs', { body: { ...plain, name: 'unvalidated', train: { steps: 1, validate_every: 'never' } } })).json;
  await tandem.until(id, 'succeeded');
  await page.goto('/sweeps');
  await page.getByText('No sweep yet').waitFor();
  await page.getByRole('link', { name: 'New sweep' }).first().click();
  await page.getByLabel('Begin with').selectOption({ label: 'unvalidated (job)' });
  await until(async () => (await page.getByLabel('Metric').inputValue()) === 'test/accuracy', 'a metric of a job without validation');
  await page.getByLabel('Begin with').selectOption({ label: 'fashion-quick (example)' });
  await until(async () => (await page.getByLabel('Metric').inputValue()) === 'val/accuracy', 'a metric of a job with validation');
  await page.getByRole('button', { name: 'Grid' }).click();
  await page.getByLabel('How it varies').selectOption('values');
  await page.getByLabel('Values', { exact: true }).fill('0.0001, 0.003, 0.01');
  await page.getByText('That is 3 jobs.').waitFor();
  await page.getByLabel('Name').fill('rates');
  await page.getByRole('button', { name: 'Start sweep' }).click();
  await page.waitForURL(/\/sweeps\/[0-9A-Z]{26}$/);
  await page.locator('.head .state', { hasText: 'succeeded' }).waitFor({ timeout: JOB_MS });

  assert.equal(await page.locator('.p-line').count(), 3, 'a line for each job');
  const values = (await page.locator('table.dense tbody td:nth-child(3)').allTextContents()).map(parseFloat);
  assert.equal(values.length, 3);
  assert.deepEqual(values, [...values].sort((a, b) => b - a), 'the best job comes first');

  // A brush on an axis, by the keyboard alone, leaves the jobs that lie within.
  await page.locator('.p-axis').first().focus();
  for (let i = 0; i < 11; i++) await page.keyboard.press('ArrowUp');
  await page.getByText('1 of 3 jobs').waitFor();
  assert.equal(await page.locator('.p-line.out').count(), 2);
  await page.keyboard.press('Escape');
  await page.getByText('1 of 3 jobs').waitFor({ state: 'detached' });

  await page.getByRole('link', { name: 'As leaderboard' }).click();
  await page.locator('.jobs tbody tr').nth(2).waitFor();
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByLabel('/optimizer/lr').check();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'optimizer lr' }).click();
  await page.locator('th[aria-sort="ascending"]', { hasText: 'optimizer lr' }).waitFor();
  const place = (await page.locator('.jobs thead th').allTextContents()).findIndex((h) => h.startsWith('optimizer lr'));
  const rates = async () => (await page.locator(`.jobs tbody td:nth-child(${place + 1})`).allTextContents()).join(' ');
  await until(async () => (await rates()) === '1e-4 0.003 0.01', 'the order by learning rate');
  assert.match(page.url(), /columns=.*sort=/, 'what is shown is in the address');
  assert.deepEqual(complaints, []);
  await close();
});

const DRIP_MS = 100; // between two pieces of a slow file
const PIECES = 600; // of it: a minute in all, so it is on its way while somebody looks
const PIECE = 'a,b\n'.repeat(16384);

/* A server whose one file comes in drips. */
async function slowServer(t) {
  const server = http.createServer((q, r) => {
    r.writeHead(200, { 'content-length': PIECES * PIECE.length });
    const timer = setInterval(() => r.write(PIECE), DRIP_MS);
    r.on('close', () => clearInterval(timer));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/slow.csv`;
}

test('a download shows how far it is, by itself, on both pages, and is cancelled at once', async (t) => {
  const url = await slowServer(t);
  const tandem = await start(t, { flags: { 'fetch-private': 'on' } });
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto('/add-dataset');
  await page.getByRole('button', { name: 'From an address' }).click();
  await page.getByLabel('Address').fill(url);
  await page.getByLabel('Name').focus(); // what is left of the address gives it
  await until(async () => (await page.getByLabel('Name').inputValue()) === 'slow', 'a name');
  await page.getByRole('button', { name: 'Add dataset' }).click();
  await page.waitForURL(/\/datasets\/slow$/);

  const value = () => page.getByRole('progressbar').first().evaluate((bar) => bar.value);
  await until(async () => (await value()) > 0, 'progress');
  const before = await value();
  await until(async () => (await value()) > before, 'more progress');

  await page.getByRole('link', { name: 'Datasets' }).first().click();
  const row = page.locator('.rows tbody tr', { hasText: 'slow' });
  await row.getByText('fetching').waitFor();
  const then = await value();
  await until(async () => (await value()) > then, 'progress in the list');

  await row.getByRole('link', { name: 'slow' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Cancel it?' }).click();
  await page.locator('.head .state', { hasText: 'cancelled' }).waitFor();
  assert.deepEqual(complaints, []);
  await close();
});
