// A look inside a step, in a browser: from a press on the loss curve to the histogram of a gradient, and from a failed job to the op
// that is to blame.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { endless, patience, quick, start } from '../api/harness.mjs';
import { closeBrowser, newPage, until } from './browser.mjs';

const REPLAY_MS = 60000 * patience;

after(closeBrowser);

/* How many pixels the page is too wide. */
const excessOf = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/* The boxes of the graph whose texts do not fit. */
const tightOf = (page) => page.locator('.graph .box').evaluateAll((boxes) => boxes.filter((b) => [...b.querySelectorAll('text')].some((t) => t.getBBox().width > b.querySelector('rect').getBBox().width)).map((b) => b.textContent));

test('a press on the loss curve leads into a step, and from there to every value', async (t) => {
  const tandem = await start(t);
  const job = await tandem.submit(quick({ train: { epochs: 1, checkpoint_every: 20 } }));
  await tandem.until(job.id, 'succeeded');
  const { page, complaints, close } = await newPage(tandem.url);

  await page.goto(`/jobs/${job.id}`);
  const plot = page.locator('.chart-plot[aria-label^="loss:"] .u-over');
  await plot.waitFor();
  const size = await plot.boundingBox();
  await plot.click({ position: { x: size.width / 2, y: size.height / 2 } });
  const link = page.getByRole('link', { name: /Look into step/ });
  const pressed = Number((await link.textContent()).match(/\d+/)[0]);
  assert.ok(Math.abs(pressed - 28) < 6, `the middle of 56 steps is not ${pressed}`);
  await link.click();
  await page.waitForURL(new RegExp(`tab=replay&step=${pressed}`));

  // It is not there yet; it is asked for, and comes.
  await page.getByText(`Step ${pressed} has not been replayed`).waitFor();
  await page.getByLabel('Steps').fill('2');
  await page.getByRole('button', { name: 'Replay it' }).click();
  await page.locator('.replay-verdict[data-identical="true"]').waitFor({ timeout: REPLAY_MS });
  assert.match(await page.locator('.replay-verdict').textContent(), /Bit-identical.*\d+ tensors.*recorded up to step \d+: \d+ points/);

  // The graph, by another colour; a box by the keyboard.
  await page.getByRole('button', { name: 'Gradient', exact: true }).click();
  await page.waitForURL(/by=gradient/);
  const box = page.locator('.graph .box', { hasText: 'linear 1' });
  assert.match(await box.textContent(), /\|g\| [\d.e-]+/);
  const fill = (name) => page.locator('.graph .box', { hasText: name }).locator('rect').evaluate((r) => getComputedStyle(r).fill);
  assert.notEqual(await fill('input'), await fill('loss'), 'boxes are coloured by their figures');
  await box.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/node=/);
  const detail = page.locator('.graph-detail');
  await detail.getByText('1.weight').first().waitFor();
  const weight = detail.locator('.value', { hasText: '1.weight' }).last();
  assert.match(await weight.textContent(), /32 × 784 float32, parameter/);
  assert.equal(await weight.locator('svg.spread').count(), 2, 'the weight and its gradient are drawn');
  assert.ok((await excessOf(page)) <= 0, `the page is ${await excessOf(page)} pixels too wide`);
  const lines = await weight.locator('dt').evaluateAll((names) => names.map((n) => n.offsetHeight / parseFloat(getComputedStyle(n).lineHeight)));
  assert.ok(lines.every((n) => n < 1.5), `a name takes one line: ${lines}`);
  const file = await page.request.get(await weight.getByRole('link', { name: /^NPY/ }).first().getAttribute('href'));
  assert.equal((await file.body()).subarray(1, 6).toString(), 'NUMPY');

  // From a value to the op that made it, as a list, the worst first.
  await detail.getByRole('button', { name: 'linear', exact: true }).first().click();
  await detail.getByRole('heading', { name: 'linear in 1, linear' }).waitFor();
  await page.getByRole('button', { name: 'List', exact: true }).click();
  await page.getByRole('button', { name: 'Both', exact: true }).click();
  await page.getByLabel('Show only ops with').fill('linear backward');
  await until(async () => (await page.locator('.ops tbody tr').count()) > 0 && !(await page.locator('.ops tbody').textContent()).includes('relu'), 'the filter');

  // What it was fed.
  const picture = page.locator('.samples img').first();
  await picture.scrollIntoViewIfNeeded();
  await until(() => picture.evaluate((i) => i.naturalWidth === 28), 'a sample’s picture');
  assert.match(await page.locator('.samples li').first().textContent(), /said .*is .*loss/);

  // One step on is in the same replay; two are another.
  await page.getByRole('button', { name: 'The step after' }).click();
  await page.waitForURL(new RegExp(`step=${pressed + 1}`));
  await page.locator('.replay-verdict').waitFor();
  await page.getByRole('button', { name: 'The step after' }).click();
  await page.getByRole('button', { name: `Replay step ${pressed + 2}` }).click();
  await page.locator('.replay-verdict[data-identical="true"]').waitFor({ timeout: REPLAY_MS });
  await page.goto(`/jobs/${job.id}?tab=replay&step=9999`);
  await page.getByText('There is no step 9999').waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

const diverging = { model: { layers: ['flatten', { type: 'linear', out_features: 32 }, 'relu', { type: 'linear', out_features: 32 }, { type: 'linear', out_features: 10 }] }, optimizer: { type: 'sgd', lr: 1e6 } };

test('a job that failed leads to the op to blame, on a narrow screen in the dark, too', async (t) => {
  const tandem = await start(t);
  const job = await tandem.submit(quick(diverging));
  await tandem.until(job.id, 'failed');
  const { page, complaints, close } = await newPage(tandem.url, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });

  await page.goto(`/jobs/${job.id}`);
  await page.getByRole('link', { name: /Look into step/ }).click();
  const culprit = page.locator('.culprit');
  await culprit.waitFor({ timeout: REPLAY_MS });
  assert.match(await culprit.textContent(), /not finite.*linear in layer \d/);
  assert.ok((await culprit.locator('tbody tr').count()) >= 2, 'with the ranges of what it read');
  await culprit.getByRole('button', { name: 'Show the op' }).click();
  await page.locator('.graph-detail h2', { hasText: /^linear in/ }).waitFor();
  await page.locator('.graph .box.picked[data-tone="bad"]').waitFor();
  await page.locator('.samples .blamed img').first().waitFor();
  assert.ok((await excessOf(page)) <= 0, `the page is ${await excessOf(page)} pixels too wide`);
  assert.deepEqual(await tightOf(page), [], 'every text is within its box');
  assert.deepEqual(complaints, []);
  await close();
});

// A softmax goes into a loss that applies one itself.
const doubled = () => quick({ model: { layers: ['flatten', { type: 'linear', out_features: 10 }, 'softmax'] }, train: { steps: 4 } });

test('warnings stand on the page of a job or sweep until they are put away', async (t) => {
  const tandem = await start(t);
  const job = await tandem.submit(doubled());
  await tandem.until(job.id, 'succeeded');
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto(`/jobs/${job.id}`);
  const box = page.getByRole('region', { name: 'Warnings' });
  await box.getByText('applies a softmax itself').waitFor();
  assert.match(await box.textContent(), /A warning.*layer 2, double_softmax/);
  await page.getByRole('button', { name: 'Dismiss the warnings' }).click();
  await box.waitFor({ state: 'detached' });
  await page.reload();
  await page.getByText('Overview').waitFor();
  assert.equal(await box.count(), 0);
  await page.evaluate((id) => localStorage.setItem(`warnings:${id}`, 0), job.id); // as if it had come since then
  await page.reload();
  await box.getByText('applies a softmax itself').waitFor();
  const { json: sweep } = await tandem.post('/sweeps', { base: doubled(), metric: 'train/loss', goal: 'min', strategy: 'grid', space: { '/seed': { values: [1] } } });
  await page.goto(`/sweeps/${sweep.id}`);
  await box.getByText('applies a softmax itself').waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test('a warning of a job that runs comes to its page at once, and leads to the replay that was made by itself', async (t) => {
  const tandem = await start(t);
  const before = await tandem.submit(endless({ resources: { threads: 4, memory_mb: 512 } }));
  await tandem.untilStep(before.id, 1);
  // It waits for the other one's threads, so that the page has read it before a step is not finite.
  const { id } = await tandem.submit(endless({ ...diverging, train: { epochs: 10_000, on_nonfinite: 'continue' } }));
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto(`/jobs/${id}`);
  await page.getByText('queued').first().waitFor();
  const box = page.getByRole('region', { name: 'Warnings' });
  assert.equal(await box.count(), 0);
  await tandem.act(before.id, 'cancel');
  await box.getByText(/step \d+: the (loss|gradient norm) is .* its update is left out/).waitFor();
  assert.equal((await tandem.json(`/jobs/${id}`)).state, 'running');
  await page.goto(`/jobs/${id}?tab=replay`);
  await page.locator('.culprit').waitFor({ timeout: REPLAY_MS });
  assert.match(await page.locator('.replay-verdict').textContent(), /Bit-identical.*recorded up to step \d+: \d+ points/);
  await tandem.act(id, 'cancel');
  assert.deepEqual(complaints, []);
  await close();
});

test('a replay that could not be compared says so, and looks again', async (t) => {
  const tandem = await start(t);
  const { data } = endless();
  const { id } = await tandem.submit(endless({ data: { ...data, limit: 50_000 }, train: { epochs: 10, checkpoint_every: 0 }, log: { every: 5 } }));
  await tandem.untilStep(id, 12);
  await tandem.act(id, 'cancel');
  await tandem.until(id, 'cancelled');
  const { step } = (await tandem.points(id, 'train/loss')).at(-1);
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto(`/jobs/${id}?tab=replay&step=${step}`);
  await page.getByRole('button', { name: `Replay step ${step}` }).click();
  const verdict = page.locator('.replay-verdict[data-identical="null"]');
  await verdict.waitFor({ timeout: REPLAY_MS });
  assert.match(await verdict.textContent(), new RegExp(`as far as they could be compared.*The weights after step ${step} could not be compared`));
  await page.getByRole('button', { name: 'Compare again' }).click();
  await page.locator('.replay-running').waitFor();
  await verdict.waitFor({ timeout: REPLAY_MS });
  assert.deepEqual(complaints, []);
  await close();
});

test('the editor of a new job shows what is allowed and probably not meant', async (t) => {
  const tandem = await start(t);
  const { page, complaints, close } = await newPage(tandem.url);
  await page.goto('/new?example=fashion-quick');
  await page.getByText('The server accepts this job').waitFor();
  const box = page.getByRole('region', { name: 'Warnings' });
  assert.equal(await box.count(), 0);
  await page.getByRole('textbox', { name: 'The job, as JSON' }).fill(JSON.stringify(doubled()));
  await box.getByText('applies a softmax itself').waitFor();
  assert.deepEqual(complaints, []);
  await close();
});
