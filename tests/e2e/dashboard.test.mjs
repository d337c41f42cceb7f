// The whole road in a browser: a ready example is posted on the page for new jobs, its curve grows before the reader's eyes, it
// succeeds, and its report is there, all without a reload.  Whatever the browser complains about, its security policy first of
// all, is a failure.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { patience, start } from '../api/harness.mjs';
import { closeBrowser, newPage } from './browser.mjs';

const STEPS = 8000; // some seconds: long enough to be watched
const JOB_MS = 120000 * patience;

after(closeBrowser);

/* The number of pixels of a chart's canvas that have the colour of curve K. */
const pixelsOfCurve = (page, title, k) =>
  page.evaluate(
    ([name, index]) => {
      const chart = [...document.querySelectorAll('.chart')].find((c) => c.querySelector('h3').textContent === name);
      const canvas = chart?.querySelector('canvas');
      if (!canvas) return 0;
      const swatch = chart.querySelectorAll('.chart-legend i')[index];
      const rgb = getComputedStyle(swatch).backgroundColor.match(/\d+/g).map(Number).slice(0, 3);
      const data = window.pixelsOf(canvas);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && rgb.every((c, j) => Math.abs(data[i + j] - c) < 12)) n++;
      return n;
    },
    [title, k],
  );

const stepOf = (page) => page.locator('.facts dt:text-is("Step") + dd').textContent().then((text) => Number(text.split('/')[0].replaceAll(',', '')));

test('a job is made in the browser, watched live, and reports its result', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url);

  await page.goto('/');
  await page.getByText('No jobs yet').waitFor();
  await page.evaluate(() => (window.neverReloaded = true));
  await page.getByRole('link', { name: 'New job' }).last().click();
  await page.getByRole('link', { name: /fashion-quick/ }).click();
  await page.getByText('The server accepts this job').waitFor();
  await page.locator('.layers').getByText('64 × 784').waitFor();

  const editor = page.getByRole('textbox', { name: 'The job, as JSON' });
  const text = (await editor.inputValue()).replace(/"steps": \d+/, `"steps": ${STEPS}`).replace(/"validate_every": \d+/, '"validate_every": 1000');
  assert.match(text, new RegExp(`"steps": ${STEPS}`));

  // The server's fault is shown at its line, and goes when it is mended.  The refusal itself is a line on the browser's console.
  const broken = text.replace('"relu"', '"rellu"');
  await editor.fill(broken);
  const line = broken.slice(0, broken.indexOf('"rellu"')).split('\n').length;
  await page.locator('.faults').getByText(`line ${line}`).waitFor();
  assert.match(await page.locator('.faults').textContent(), /did you mean "relu"/);
  assert.equal(await page.locator('.gutter .fault').textContent(), String(line));
  assert.equal(await page.locator('.sheet .at').textContent(), '"rellu"', 'what is wrong is underlined');
  assert.equal(complaints.filter((c) => !c.includes('422')).length, 0, complaints.join('\n'));
  complaints.length = 0;
  await editor.fill(text);
  await page.getByText('The server accepts this job').waitFor();

  const streams = [];
  page.on('request', (r) => r.url().includes('/events') && streams.push(new URL(r.url()).pathname));
  await page.getByRole('button', { name: 'Start training' }).click();
  await page.waitForURL(/\/jobs\/[0-9A-Z]{26}$/);
  const job = page.url().split('/').pop();

  // The curve grows while the job runs: more steps, other values, more ink.
  await page.locator('.chart-plot[aria-label^="loss:"] canvas').waitFor({ timeout: JOB_MS });
  const seen = [];
  while ((await page.locator('.head .state').textContent()) !== 'succeeded') {
    seen.push({ step: await stepOf(page), label: await page.locator('.chart-plot[aria-label^="loss:"]').getAttribute('aria-label') });
    assert.ok(seen.length < 1000, 'the job goes on and on');
    await page.waitForTimeout(150 * patience);
  }
  const steps = [...new Set(seen.map((s) => s.step))];
  assert.ok(steps.length >= 4, `the step was seen at ${steps}`);
  assert.deepEqual(steps, [...steps].sort((a, b) => a - b), 'the step never goes back');
  assert.ok(new Set(seen.map((s) => s.label)).size >= 4, 'the curve was seen with several last values');
  assert.ok((await pixelsOfCurve(page, 'loss', 0)) > 200, 'the curve of the training loss is drawn');
  assert.ok((await pixelsOfCurve(page, 'loss', 1)) > 20, 'so is that of the validation loss');

  assert.equal(await stepOf(page), STEPS);
  await page.locator('.facts dt:text-is("Test accuracy")').waitFor();
  await page.locator('.history b', { hasText: 'succeeded' }).waitFor();
  assert.match(await page.locator('.log').textContent(), /training: /);

  assert.deepEqual(streams.filter((path) => path.includes(job)), [`/api/v1/jobs/${job}/events`], 'an ended stream is not asked for again');

  const tabs = page.getByRole('navigation', { name: 'Parts of the job' });
  await tabs.getByRole('link', { name: 'Report' }).click();
  await page.locator('.confusion tbody tr').nth(9).waitFor();
  const cells = await page.locator('.confusion td').allTextContents();
  assert.equal(cells.reduce((sum, c) => sum + (Number(c) || 0), 0), 10000, 'the confusion matrix holds the whole test split');
  await page.locator('.samples .wrong img').first().waitFor();
  assert.equal(await page.locator('.samples img').first().evaluate((i) => i.naturalWidth), 28, 'a sample is shown');

  await tabs.getByRole('link', { name: 'Graph' }).click();
  await page.locator('.graph .box[data-kind="loss"]').waitFor();
  await page.locator('.graph .box', { hasText: 'linear' }).first().click();
  await page.locator('.graph-detail h2', { hasText: 'linear' }).waitFor();

  await tabs.getByRole('link', { name: 'Files' }).click();
  await page.getByRole('link', { name: 'model.safetensors' }).waitFor();

  await page.getByRole('link', { name: 'Jobs', exact: true }).first().click();
  const row = page.locator('.jobs tbody tr', { has: page.locator(`a[href="/jobs/${job}"]`) });
  await row.getByText('100 %').waitFor();
  assert.equal(await page.evaluate(() => window.neverReloaded), true, 'the page was never loaded again');

  // Loaded again it comes out of the browser's cache, under the same policy.
  await page.goto('/');
  await row.getByText('100 %').waitFor();

  // What has ended can go.
  await page.goto(`/jobs/${job}`);
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete it?' }).click();
  await page.getByText('No jobs yet').waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

/* Every page, and what shows that it is there. */
const PAGES = [
  ['/', 'No jobs yet'],
  ['/datasets', 'No dataset is here yet'],
  ['/datasets/nothing', 'There is no dataset'],
  ['/add-dataset', 'Drop files here'],
  ['/new?example=fashion-cnn', 'The server accepts this job'],
  ['/sweeps', 'No sweep yet'],
  ['/new-sweep?example=learning-rate-sweep', 'Settings are drawn by chance, and what is behind'],
  ['/models', 'No model is kept yet'],
  ['/system', 'Workers'],
  ['/tokens', 'New token'],
  ['/sign-in', 'This server wants a token'],
  ['/compare', 'Nothing to compare'],
  ['/nowhere', 'There is no such page'],
];

test('every page fits a narrow screen, in the dark, without a complaint', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  for (const [path, sign] of PAGES) {
    await page.goto(path);
    await page.getByText(sign).first().waitFor();
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(excess <= 0, `${path} is ${excess} pixels too wide`);
  }
  const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  assert.ok(ground.match(/\d+/g).every((c) => Number(c) < 60), `the ground is dark, not ${ground}`);
  assert.deepEqual(complaints.filter((c) => !/ 404 /.test(c)), [], 'what is not there is all that the browser notes');
  await close();
});

test('a server with tokens asks for one, lets the reader in with it, and out again', async (t) => {
  const tandem = await start(t);
  const { token } = (await tandem.request('POST', '/tokens', { body: { owner: 'ada', scope: 'admin' } })).json;
  const { page, complaints, close } = await newPage(tandem.url);

  await page.goto('/system');
  await page.waitForURL(/\/sign-in\?next=%2Fsystem$/);
  await page.getByLabel('Token').fill('not a token');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/\/system$/);
  await page.getByRole('heading', { name: 'Workers' }).waitFor();

  await page.getByRole('link', { name: 'Tokens' }).click();
  await page.getByLabel('Owner').fill('grace');
  await page.getByRole('button', { name: 'Make it' }).click();
  await page.locator('.made pre').waitFor();
  const row = page.locator('tbody tr', { hasText: 'grace' });
  await row.getByRole('button', { name: 'Revoke' }).click();
  await row.getByRole('button', { name: 'Revoke it?' }).click();
  await row.waitFor({ state: 'detached' });

  assert.ok(!(await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }))).includes(token), 'no script can read the token');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL(/\/sign-in$/);
  await page.goto('/');
  await page.waitForURL(/\/sign-in\?next=/);
  assert.deepEqual(complaints.filter((c) => !/ 401 /.test(c)), [], 'refusals are all that the browser notes');
  await close();
});
