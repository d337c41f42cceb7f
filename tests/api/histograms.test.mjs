// Histograms of weights and gradients while a job trains.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { interrupted, problem, start } from "./harness.mjs";

test("histograms come every so many steps, in columns, and a restart neither loses nor doubles one", async (t) => {
	const tandem = await start(t);
	await uploadBlobs(tandem);
	const spec = blobJob({ train: { epochs: 40, checkpoint_every: 25 }, log: { every: 1, histograms_every: 10 } });
	const whole = await tandem.finish(spec);
	const all = (await tandem.json(`/jobs/${whole.id}/histograms`)).items;
	const name = all.map((h) => h.name).find((n) => n.startsWith("weights/"));
	assert.ok(name && all.some((h) => h.name.startsWith("gradients/")), all.map((h) => h.name).join());
	const h = await tandem.json(`/jobs/${whole.id}/histograms?name=${encodeURIComponent(name)}`);
	assert.deepEqual(h.steps, Array.from({ length: 96 }, (_, i) => (i + 1) * 10));
	h.counts.forEach((counts, i) => {
		assert.equal(h.edges[i].length, counts.length + 1);
		assert.equal(counts.reduce((a, b) => a + b), h.counts[0].reduce((a, b) => a + b), "every weight is in one bin");
	});
	assert.deepEqual((await tandem.json(`/jobs/${whole.id}/histograms?name=${encodeURIComponent(name)}&max=4`)).steps, [240, 480, 720, 960]);
	problem(assert, await tandem.get(`/jobs/${whole.id}/histograms?name=weights/none`), 404);
	problem(assert, await tandem.get(`/jobs/${whole.id}/histograms?max=0`), 400);

	const { id } = await interrupted(async () => {
		const job = await tandem.submit(spec);
		await tandem.untilStep(job.id, 60);
		tandem.killWorkers();
		return tandem.until(job.id, "succeeded");
	});
	assert.deepEqual(await tandem.json(`/jobs/${id}/histograms?name=${encodeURIComponent(name)}`), h);
	const seen = [];
	for await (const e of tandem.events(`/jobs/${id}/events`)) {
		if (e.event === "histogram") seen.push(e.data);
		if (e.event === "state" && e.data.to === "succeeded") break;
	}
	assert.ok(seen.some((e) => e.name === name && e.step === 960));
});
