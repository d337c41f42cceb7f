// The same job gives the same bits, however it is run.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, convolutional, interrupted, sleep, start, thorough } from "./harness.mjs";

describe("the same job", () => {
	const tandem = new Tandem();
	let reference, record;
	const job = (changes = {}) => convolutional({ train: { epochs: 1 }, ...changes });
	const same = async (spec) => {
		const { id } = await tandem.finish(spec);
		assert.deepEqual(await tandem.fingerprint(id), reference);
		return tandem.job(id);
	};
	before(async () => {
		await tandem.up();
		record = await tandem.finish(job());
		reference = await tandem.fingerprint(record.id);
		assert.ok(reference.series["train/loss"].length >= 50 && Object.keys(reference.weights).length === 1);
	});
	after(() => tandem.close());

	test("run twice has the same losses and the same sha256 of weights", () => same(job()));
	test("on two threads", () => same(job({ resources: { threads: 2 } })));
	test("in eager mode", async () => {
		const eager = await same(job({ mode: "eager" }));
		assert.equal(eager.engine.counters.plans, 0, "eager mode built no plan");
		assert.equal(eager.engine.counters.replayed, 0);
		assert.ok(eager.engine.counters.dispatched > eager.progress.n_steps);
	});
	test("in eager mode on two threads", () => same(job({ mode: "eager", resources: { threads: 2 } })));
	test("beside another job", () => Promise.all([same(job()), same(job({ mode: "eager" })), tandem.finish(job({ seed: 99 }))]));

	test("in graph mode dispatches no op after its trace", async () => {
		const longer = await tandem.finish(job({ train: { epochs: 2 } }));
		assert.ok(longer.progress.n_steps === 2 * record.progress.n_steps);
		assert.equal(longer.engine.counters.dispatched, record.engine.counters.dispatched, "twice the steps dispatch no op more");
		assert.ok(record.engine.counters.plans >= 1 && record.engine.counters.replayed > record.progress.n_steps);
	});

	test("with another seed has other bits, so the comparison can fail", async () => {
		const { id } = await tandem.finish(job({ seed: 8 }));
		const other = await tandem.fingerprint(id);
		assert.notDeepEqual(other.weights, reference.weights);
		assert.notDeepEqual(other.series["train/loss"], reference.series["train/loss"]);
	});

	test("says on which numerics it ran", () => {
		assert.match(record.engine.fingerprint, /openblas/i);
	});
});

// Every histogram of a job, by name.
async function histograms(tandem, id) {
	const { items } = await tandem.json(`/jobs/${id}/histograms`);
	const all = await Promise.all(items.map((h) => tandem.json(`/jobs/${id}/histograms?name=${encodeURIComponent(h.name)}&max=1000`)));
	return Object.fromEntries(all.map((h, i) => [items[i].name, h]));
}

test("a job that augments, normalises batches, accumulates, clips and decides by its validations has the same bits in both modes and on any threads", async (t) => {
	const tandem = await start(t);
	const record = await tandem.finish(thorough());
	const reference = await tandem.fingerprint(record.id), drawn = await histograms(tandem, record.id);
	assert.deepEqual(Object.keys(reference.weights).sort(), ["best.safetensors", "model.safetensors"]);
	assert.ok(Object.keys(drawn).length === 12 && drawn["gradients/0.weight"].steps.length >= 3);
	for (const changes of [{ mode: "eager" }, { resources: { threads: 2 } }, { mode: "eager", resources: { threads: 3 } }]) {
		const { id } = await tandem.finish(thorough(changes));
		assert.deepEqual(await tandem.fingerprint(id), reference, JSON.stringify(changes));
		assert.deepEqual(await histograms(tandem, id), drawn, JSON.stringify(changes));
	}
	const { id } = await tandem.finish(thorough({ seed: 8 }));
	assert.notDeepEqual((await tandem.fingerprint(id)).weights, reference.weights);
});

test("a job with averages of its weights, Muon, one cycle, a bidirectional LSTM, attention and group norm has the same bits in both modes, on any threads, and after kills", async (t) => {
	const tandem = await start(t, { flags: { "grace-seconds": 2 } });
	await uploadBlobs(tandem);
	const layers = [{ type: "linear", out_features: 8 }, { type: "unflatten", dim: 1, unflattened_size: [2, 4] },
		{ type: "lstm", hidden_size: 4, num_layers: 2, bidirectional: true, dropout: 0.3 }, { type: "multihead_attention", num_heads: 2, dropout: 0.1 },
		"flatten", { type: "group_norm", num_groups: 2 }, { type: "linear", out_features: 3 }];
	const job = (changes = {}) => blobJob({ model: { layers }, retries: 50, optimizer: { type: "muon", lr: 0.01, groups: [{ params: ["*bias*", "5.*"], adamw: true }] },
		schedule: { type: "one_cycle" }, train: { epochs: 20, accumulate: 2, clip_norm: 1, ema: { decay: 0.9 }, checkpoint_every: 9, validate_every: 20, keep: { best: "val/loss" } }, ...changes });
	const record = await tandem.finish(job()), reference = await tandem.fingerprint(record.id);
	assert.deepEqual(Object.keys(reference.weights).sort(), ["best.safetensors", "model.safetensors"]);
	for (const changes of [{ mode: "eager" }, { resources: { threads: 2 } }]) assert.deepEqual(await tandem.fingerprint((await tandem.finish(job(changes))).id), reference, JSON.stringify(changes));
	const { id } = await interrupted(async () => {
		const job_ = await tandem.submit(job());
		for (const step of [20, 90, 150]) {
			await tandem.untilStep(job_.id, step);
			tandem.killWorkers();
			await sleep(50);
		}
		return tandem.until(job_.id, "succeeded");
	});
	assert.deepEqual(await tandem.fingerprint(id), reference);
});

test("a job with gradients of a sum clipped by value, a momentum on a cycle and a frozen batch norm has the same bits in both modes, on any threads, and after a kill", async (t) => {
	const tandem = await start(t, { flags: { "grace-seconds": 2 } });
	await uploadBlobs(tandem);
	const layers = [{ type: "linear", out_features: 8 }, { type: "batch_norm", track_running_stats: false }, { type: "softplus", beta: 2, threshold: 3 },
		{ type: "linear", out_features: 6 }, { type: "batch_norm", frozen: true }, { type: "linear", out_features: 3 }];
	const job = (changes = {}) => blobJob({ model: { layers }, retries: 50, loss: { type: "cross_entropy", reduction: "sum" }, optimizer: { type: "adamw", lr: 0.01 },
		schedule: { type: "one_cycle", cycle_momentum: true }, train: { epochs: 20, accumulate: 2, clip_norm: 5, clip_value: 0.5, checkpoint_every: 9 }, ...changes });
	const record = await tandem.finish(job()), reference = await tandem.fingerprint(record.id);
	for (const changes of [{ mode: "eager" }, { resources: { threads: 2 } }]) assert.deepEqual(await tandem.fingerprint((await tandem.finish(job(changes))).id), reference, JSON.stringify(changes));
	for (const [changes, what] of [[{ schedule: { type: "one_cycle" } }, "momentum"], [{ loss: "cross_entropy" }, "reduction"],
		[{ train: { epochs: 20, accumulate: 2, clip_norm: 5, checkpoint_every: 9 } }, "clip_value"]])
		assert.notDeepEqual((await tandem.fingerprint((await tandem.finish(job(changes))).id)).weights, reference.weights, what);
	const { id } = await interrupted(async () => {
		const job_ = await tandem.submit(job());
		await tandem.untilStep(job_.id, 60);
		tandem.killWorkers();
		return tandem.until(job_.id, "succeeded");
	});
	assert.deepEqual(await tandem.fingerprint(id), reference);
	const refused = await tandem.post("/jobs", job({ optimizer: "sgd" }));
	assert.equal(refused.status, 422);
	assert.match(refused.json.errors[0].detail, /leave "cycle_momentum" out/);
});

// A job is a promise: who trains it again next year wants these weights.  They hold for the numerics that they were made on.
const PINNED = { "avx512 openblas-Cooperlake onednn-2.6.3-avx512 tandem-0.1.0": "6eb5b560ff496a76f47b3636d7aeaffa558c5b67d2f58bbf8c631558d526b716" };

test("a job has the weights that it has always had", async (t) => {
	const tandem = await start(t);
	const { id, engine } = await tandem.finish(convolutional({ train: { epochs: 1 } }));
	if (!PINNED[engine.fingerprint]) return t.skip(`no weights were written down for ${engine.fingerprint}`);
	assert.equal((await tandem.fingerprint(id)).weights["model.safetensors"], PINNED[engine.fingerprint]);
});
