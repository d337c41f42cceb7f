// What is allowed and probably not meant: told before the job and while it trains, once, and kept.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, endless, quick, sleep, thorough } from "./harness.mjs";

const layers = (last, more = {}) => quick({
	model: { layers: ["flatten", { type: "linear", out_features: 32 }, "relu", { type: "linear", out_features: 10 }, ...last] }, ...more });
const doubled = (more) => layers([{ type: "softmax", name: "probabilities" }], more);

// Some text, and a job that learns to write like it.
async function bring(tandem) {
	const body = Buffer.from(Array.from({ length: 400 }, (_, i) => `line ${(i * 7919) % 1000} of a text`).join("\n"));
	const put = await tandem.request("PUT", "/datasets/lines/files/lines.txt", { body, headers: { "content-type": "application/octet-stream" } });
	assert.equal(put.status, 201, put.text);
	await tandem.post("/datasets", { name: "lines" });
	assert.equal((await tandem.json("/datasets/lines?wait=30")).state, "ready");
}
const text = (more) => ({ name: "lines", data: { dataset: "lines", batch_size: 8, tokenizer: "char", sequence_length: 16, split: { validation: 0.1, by: "end" } },
	loss: "cross_entropy", optimizer: "adam", metrics: ["perplexity"], train: { steps: 4 }, ...more });

describe("warnings", () => {
	const tandem = new Tandem();
	before(() => tandem.up());
	after(() => tandem.close());

	const dry = async (spec) => {
		const r = await tandem.post("/jobs?dry_run=1", spec);
		assert.equal(r.status, 200, r.text);
		return r.json.warnings;
	};

	test("a softmax before a loss that applies one itself is seen before the job is there", async () => {
		const warnings = await dry(doubled());
		assert.deepEqual(warnings.map((w) => [w.code, w.layer]), [["double_softmax", "probabilities"]]);
		assert.match(warnings[0].text, /leave this one out/);
		assert.deepEqual(await dry(layers([])), []);
		assert.deepEqual(await dry(layers(["log_softmax"], { loss: "nll" })), []);
		assert.deepEqual((await dry(doubled({ loss: "nll" }))).map((w) => w.code), ["nll_of_softmax"]);
		assert.deepEqual(await dry(doubled({ loss: { type: "cross_entropy", from_probabilities: true } })), []);
	});

	for (const mode of ["graph", "eager"])
		test(`they stay with the job, in its log and on its stream, in ${mode} mode`, async () => {
			const posted = await tandem.submit(doubled({ mode, train: { epochs: 1 } }));
			assert.deepEqual(posted.warnings.map((w) => w.code), ["double_softmax"]);
			const job = await tandem.until(posted.id, "succeeded");
			assert.deepEqual(job.warnings, posted.warnings);
			const { text } = await tandem.get(`/jobs/${job.id}/log`);
			assert.equal(text.split("\n").filter((line) => / warning layer probabilities: this softmax/.test(line)).length, 1, text);
			const told = [];
			for await (const { event, data } of tandem.events(`/jobs/${job.id}/events`, { after: 0 })) {
				if (event === "warning") told.push(data);
				if (event === "state" && data.to === "succeeded") break;
			}
			assert.deepEqual(told.map(({ code, layer, text: sentence }) => ({ code, layer, text: sentence })), posted.warnings);
		});

	test("a sweep answers with those of its base, and its jobs, which nobody has checked one by one, with those that their workers see", async () => {
		const r = await tandem.post("/sweeps", { name: "doubled", base: doubled({ train: { epochs: 1 } }), metric: "val/loss", goal: "min", strategy: "grid",
			space: { "/optimizer/lr": { values: [0.001, 0.002] } } });
		assert.equal(r.status, 201, r.text);
		assert.deepEqual(r.json.warnings.map((w) => [w.code, w.layer]), [["double_softmax", "probabilities"]], "the base's, before any job is there");
		assert.deepEqual((await tandem.json(`/sweeps/${r.json.id}`)).warnings, r.json.warnings);
		const codes = async () => {
			const { items } = await tandem.json(`/jobs?sweep=${r.json.id}`);
			return items.length === 2 && Promise.all(items.map(async ({ id }) => (await tandem.until(id, "succeeded")).warnings.map((w) => w.code)));
		};
		let found = await codes();
		for (; !found; found = await codes()) await sleep(50);
		assert.deepEqual(found, [["double_softmax"], ["double_softmax"]]);
	});

	test("a job without any has an empty list, and its shuffled epochs are no reason for one", async () => {
		const job = await tandem.finish(quick());
		assert.deepEqual(job.warnings, []);
	});

	test("they survive a crash and are not said again by the attempt that goes on", async () => {
		const spec = endless();
		spec.model.layers.push("softmax");
		const { id } = await tandem.submit(spec);
		await tandem.untilStep(id, 45);
		const before_ = (await tandem.job(id)).warnings;
		assert.equal(before_.length, 1);
		await tandem.kill();
		await tandem.up();
		const { progress } = await tandem.job(id);
		await tandem.untilStep(id, progress.step + 20);
		const job = await tandem.job(id);
		assert.deepEqual(job.warnings, before_);
		assert.ok(job.attempt > 1 || job.state === "running");
		const { text } = await tandem.get(`/jobs/${id}/log`);
		assert.equal(text.split("\n").filter((line) => /this softmax/.test(line)).length, 1, text);
		await tandem.act(id, "cancel");
		await tandem.until(id, "cancelled");
	});

	test("models with dropout, batch norm, attention and residual sums mean what they say", async () => {
		await bring(tandem);
		const trains = async (more) => assert.deepEqual((await tandem.finish(text(more))).warnings, []);
		for (const mode of ["graph", "eager"]) {
			await trains({ mode, model: { name: "gpt", args: { layers: 2, heads: 2, width: 16 } } });
			assert.deepEqual((await tandem.finish(thorough({ mode, train: { epochs: 1, accumulate: 2, clip_norm: 1, ema: { decay: 0.9 } }, schedule: undefined }))).warnings, []);
		}
	});
});
