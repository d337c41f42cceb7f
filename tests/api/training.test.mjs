// What a training offers beyond steps: where its weights come from, what it decides on the way, what it leaves behind.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, problem, quick, thorough } from "./harness.mjs";

const tandem = new Tandem();
before(() => tandem.up());
after(() => tandem.close());

// A small model without chance in it.
const plain = (changes = {}) => quick({
	data: { ...quick().data, limit: 1024, split: { validation: 256 } },
	model: { layers: ["flatten", { type: "linear", out_features: 16 }, "tanh", { type: "linear", out_features: 10 }] },
	train: { steps: 4, validate_every: "never" }, ...changes });

// The float32 tensors of a safetensors file.
function tensors(bytes) {
	const n = Number(bytes.readBigUInt64LE(0)), header = JSON.parse(bytes.subarray(8, 8 + n).toString());
	return Object.fromEntries(Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, t]) => {
		const [from, to] = t.data_offsets.map((at) => at + 8 + n);
		return [name, new Float32Array(bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + to))];
	}));
}
const artifact = async (id, name) => {
	const r = await tandem.get(`/jobs/${id}/artifacts/${name}`);
	assert.equal(r.status, 200, `${name}: ${r.text.slice(0, 200)}`);
	return r.bytes;
};
const weights = async (id, name = "model.safetensors") => tensors(await artifact(id, name));
const log = async (id) => (await tandem.get(`/jobs/${id}/log`)).text;
const values = async (id, name) => (await tandem.points(id, name)).map((p) => Number(p.value));
// Euclidean distance of two sets of weights.
const distance = (a, b) => Math.sqrt(Object.keys(a).reduce((sum, name) => sum + a[name].reduce((s, x, i) => s + (x - b[name][i]) ** 2, 0), 0));

describe("weights to begin with", () => {
	let parent, own;
	before(async () => {
		parent = await tandem.finish(plain({ seed: 3 }));
		own = await weights(parent.id);
		const r = await tandem.request("PUT", "/models/parent", { body: { job: parent.id, checkpoint: "last" } });
		assert.ok(r.status < 300, r.text);
	});

	test("are those of a stored model, and what is frozen keeps them", async () => {
		const { id } = await tandem.finish(plain({ init_from: { model: "parent" }, freeze: ["1.*"] }));
		const got = await weights(id);
		assert.deepEqual(got["1.weight"], own["1.weight"]);
		assert.deepEqual(got["1.bias"], own["1.bias"]);
		assert.notDeepEqual(got["3.weight"], own["3.weight"]);
		assert.match(await log(id), /beginning with the weights of model parent/);
	});

	test("are those of a job's, and what is skipped begins anew", async () => {
		const lazy = { optimizer: { type: "sgd", lr: 0 }, train: { steps: 1, validate_every: "never" } };
		const fresh = await weights((await tandem.finish(plain(lazy))).id);
		const { id } = await tandem.finish(plain({ ...lazy, init_from: { job: parent.id, strict: false, skip: ["3.*"] } }));
		const got = await weights(id);
		assert.deepEqual(got["1.weight"], own["1.weight"]);
		assert.deepEqual(got["3.weight"], fresh["3.weight"]);
	});

	test("that do not fit name every difference, or with strict false take what fits and say so", async () => {
		const model = { layers: ["flatten", { type: "linear", out_features: 16 }, "tanh", { type: "linear", out_features: 12 }, "relu", { type: "linear", out_features: 10 }] };
		const job = await tandem.submit(plain({ model, init_from: { model: "parent" } }));
		const end = await tandem.until(job.id, "failed");
		assert.match(JSON.stringify(end.error), /3\.weight|5\.weight/);
		assert.match(JSON.stringify(end.error), /init_from/);
		const { id } = await tandem.finish(plain({ model, init_from: { model: "parent", strict: false } }));
		const text = await log(id);
		for (const name of ["3.weight", "3.bias", "5.weight", "5.bias"]) assert.ok(text.includes(name), `the log names ${name}:\n${text}`);
	});
});

describe("on the way", () => {
	test("accumulated batches make the same steps as large ones", async () => {
		const steps = { train: { steps: 6, validate_every: "never" }, optimizer: { type: "sgd", lr: 0.1 } };
		const one = await tandem.finish(plain(steps));
		const two = await tandem.finish(plain({ ...steps, data: { ...plain().data, batch_size: 32 }, train: { ...steps.train, accumulate: 2 } }));
		const [a, b] = [await values(one.id, "train/loss"), await values(two.id, "train/loss")];
		assert.equal(a.length, 6);
		a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) < 1e-5 * x, `step ${i + 1}: ${x} and ${b[i]}`));
		assert.ok(distance(await weights(one.id), await weights(two.id)) < 1e-5);
	});

	test("the loss of an evaluation is that of a step over the same samples, whichever it is", async () => {
		const one_hot = [...plain().data.transforms, "one_hot"], still = { optimizer: { type: "sgd", lr: 0 }, train: { steps: 1, validate_every: "never" } };
		for (const [loss, transforms] of [["bce_with_logits", one_hot], ["mse", one_hot], ["cross_entropy", one_hot],
			[{ type: "cross_entropy", weight: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], label_smoothing: 0.1 }, plain().data.transforms],
			[{ type: "cross_entropy", ignore_index: 7 }, plain().data.transforms]]) {
			const { id } = await tandem.finish(plain({ ...still, loss, data: { ...plain().data, transforms, limit: 500, batch_size: 500, split: { validation: 0 } } }));
			const [step] = await values(id, "train/loss");
			const { value } = (await tandem.json(`/jobs/${id}/report`)).splits.train.loss;
			assert.ok(Math.abs(step - value) < 1e-5 * step, `${JSON.stringify(loss)}: ${step} in the step, ${value} in the report`);
		}
	});

	test("a label that the loss ignores is counted nowhere", async () => {
		const { id } = await tandem.finish(plain({ loss: { type: "cross_entropy", ignore_index: 7 }, metrics: ["accuracy", "f1"] }));
		const report = await tandem.json(`/jobs/${id}/report`), counted = report.confusion.flat().reduce((a, b) => a + b);
		assert.ok(report.confusion[7].every((n) => n === 0));
		assert.equal(counted, 9000, "the test split has 1000 samples of each class");
		assert.ok(Math.abs(report.confusion.reduce((n, row, i) => n + row[i], 0) / counted - report.splits.test.accuracy.value) < 1e-12);
		assert.ok(report.samples.some((s) => s.label === null) && report.samples.every((s) => s.label !== 7 && (s.label !== null || !s.wrong)));
	});

	test("that leads out of all numbers goes on to its end, and its figures say so", async () => {
		const { id } = await tandem.finish(plain({ schedule: { type: "exponential", gamma: 10, unit: "step" }, optimizer: { type: "sgd", lr: 0.1 },
			metrics: ["accuracy", "f1", "roc_auc", "average_precision", "perplexity"], log: { every: 1, histograms_every: 1 },
			train: { steps: 60, validate_every: 5, keep: { best: "val/loss" }, on_nonfinite: "continue" } }));
		const loss = await values(id, "train/loss");
		assert.equal(loss.length, 60);
		assert.ok(loss.some((x) => x > 2 ** 53 && x < 1e17) && !Number.isFinite(loss.at(-1)), `it meets large numbers on its way: ${loss}`);
		assert.match((await tandem.json(`/jobs/${id}/report`)).splits.test.loss.value, /^(NaN|Infinity)$/);
	});

	test("a histogram of one value, however large, has a width", async () => {
		const model = { layers: ["flatten", { type: "linear", out_features: 1 }, { type: "linear", out_features: 10 }] };
		const { id } = await tandem.finish(plain({ model, loss: "mse", data: { ...plain().data, transforms: ["one_hot"] }, optimizer: { type: "sgd", lr: 1e5 },
			log: { every: 1, histograms_every: 1 }, train: { steps: 8, validate_every: "never", on_nonfinite: "continue" } }));
		const h = await tandem.json(`/jobs/${id}/histograms?name=weights%2F1.bias&max=100`);
		const large = h.edges.findIndex((e) => Math.abs(e[0]) > 2 ** 53);
		assert.ok(large >= 0, "it diverged");
		assert.ok(h.edges[large].every((e, i, all) => !i || e > all[i - 1]));
		assert.equal(h.counts[large].reduce((a, b) => a + b), 1);
	});

	test("clipped gradients move the weights no farther than they may, and their norm is told as it was", async () => {
		const start = await weights((await tandem.finish(plain({ optimizer: { type: "sgd", lr: 0 }, train: { steps: 1, validate_every: "never" } }))).id);
		const { id } = await tandem.finish(plain({ optimizer: { type: "sgd", lr: 1 }, train: { steps: 1, validate_every: "never", clip_norm: 0.01 } }));
		const [norm] = await values(id, "train/grad_norm");
		assert.ok(norm > 0.1);
		assert.ok(Math.abs(distance(start, await weights(id)) - 0.01) < 1e-5);
	});

	test("the learning rate follows its schedule, behind the warm-up", async () => {
		const { id } = await tandem.finish(plain({ optimizer: { type: "sgd", lr: 0.1 }, schedule: { type: "cosine", unit: "step", warmup_steps: 3 }, train: { steps: 10, validate_every: "never" } }));
		const lr = await values(id, "train/lr");
		assert.equal(lr.length, 10);
		assert.ok(lr[0] < lr[1] && lr[1] < lr[2] && lr[2] <= 0.1);
		for (let i = 4; i < 10; i++) assert.ok(lr[i] < lr[i - 1], `step ${i + 1} is lower`);
	});

	test("a job that does not become better stops early, whole", async () => {
		const job = await tandem.finish(plain({ optimizer: { type: "sgd", lr: 0 },
			train: { epochs: 50, validate_every: 3, checkpoint_every: 1000, early_stopping: { metric: "val/loss", patience: 2 }, keep: { best: "val/loss" } }, log: { every: 4 } }));
		assert.equal(job.progress.step, 9, "best at 3, then two validations");
		assert.equal(job.progress.n_steps, 9, "it is shown as complete");
		const last = async (name) => (await tandem.points(job.id, name)).at(-1).step;
		for (const name of ["train/loss", "val/loss", "test/loss"]) assert.equal(await last(name), 9, name);
		const kept = (await tandem.json(`/jobs/${job.id}/checkpoints`)).items;
		assert.deepEqual(kept.map((c) => [c.kind, c.step]).sort(), [["best", 3], ["last", 9]]);
		assert.deepEqual(await weights(job.id, "best.safetensors"), await weights(job.id));
	});

	test("the best weights are those of the best validation", async () => {
		const { id } = await tandem.finish(thorough({ train: { epochs: 3, validate_every: 8, keep: { best: "val/accuracy" } } }));
		const accuracy = await tandem.points(id, "val/accuracy");
		const best = accuracy.reduce((a, b) => (Number(b.value) > Number(a.value) ? b : a));
		const kept = (await tandem.json(`/jobs/${id}/checkpoints`)).items.find((c) => c.kind === "best");
		assert.equal(kept.step, best.step);
		assert.notDeepEqual(await weights(id, "best.safetensors"), await weights(id));
	});
});

describe("what is left behind", () => {
	let job, report;
	before(async () => {
		job = await tandem.finish(thorough({ train: { epochs: 1, validate_every: 10 }, metrics: ["accuracy", "roc_auc", { type: "top_k", k: 3 }] }));
		report = await tandem.json(`/jobs/${job.id}/report`);
	});

	test("has the files that go on elsewhere", async () => {
		assert.deepEqual([...(await artifact(job.id, "samples.png")).subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
		assert.match((await artifact(job.id, "pytorch.py")).toString(), /class Model\(nn\.Module\)/);
		const preprocessing = JSON.parse((await artifact(job.id, "preprocessing.json")).toString());
		assert.equal(preprocessing.options.dataset, "fashion-mnist");
		assert.ok(preprocessing.state.info);
		const { "1.running_mean": mean } = await weights(job.id);
		assert.equal(mean.length, 8, "running means are part of the weights");
	});

	test("has series of the training for metrics that are means, and of the splits for all", async () => {
		const names = (await tandem.json(`/jobs/${job.id}/metrics`)).items.map((s) => s.name);
		for (const name of ["train/accuracy", "train/top_3", "val/roc_auc", "test/roc_auc", "test/top_3"]) assert.ok(names.includes(name), name);
		assert.ok(!names.includes("train/roc_auc"));
	});

	test("has histograms that count every weight", async () => {
		const h = await tandem.json(`/jobs/${job.id}/histograms?name=${encodeURIComponent("weights/6.weight")}`);
		assert.ok(h.steps.length >= 2);
		for (let i = 0; i < h.steps.length; i++) {
			assert.equal(h.counts[i].reduce((a, b) => a + b), 10 * 8 * 14 * 14);
			assert.equal(h.edges[i].length, h.counts[i].length + 1);
			assert.ok(h.edges[i].every((x, k) => !k || x > h.edges[i][k - 1]), "edges rise");
		}
	});

	test("has a report with curves, a confusion matrix, and the worst samples with what else they may be", () => {
		assert.equal(report.task, "classification");
		assert.equal(report.confusion.flat().reduce((a, b) => a + b), 10_000);
		const right = report.confusion.reduce((n, row, i) => n + row[i], 0);
		assert.ok(Math.abs(right / 10_000 - report.splits.test.accuracy.value) < 1e-12);
		assert.equal(report.curves.test.roc.length, 10);
		for (const curve of report.curves.test.roc) assert.ok(curve.fpr.length <= 200 && curve.fpr.length === curve.tpr.length && curve.auc >= 0 && curve.auc <= 1);
		const worst = report.samples.slice(32);
		assert.ok(worst.length > 10 && worst.every((s) => s.wrong));
		assert.ok(worst.every((s, i) => !i || s.loss <= worst[i - 1].loss), "the worst first");
		for (const s of worst) {
			assert.equal(s.top.length, 5);
			assert.equal(s.top[0].label, report.classes[s.prediction]);
			assert.ok(s.top.every((t, i) => !i || t.probability <= s.top[i - 1].probability));
			assert.equal(Buffer.from(s.image.png, "base64").subarray(1, 4).toString(), "PNG");
		}
	});
});

test("a table with a numeric target is reported in its own units", async () => {
	const rows = Array.from({ length: 300 }, (_, i) => { const size = 30 + ((i * 37) % 170), rooms = 1 + (i % 6); return `${size},${rooms},${size * 3000 + rooms * 5000}`; });
	let r = await tandem.request("PUT", "/datasets/houses/files/houses.csv", { body: ["size,rooms,price", ...rows].join("\n"), headers: { "content-type": "text/csv" } });
	assert.equal(r.status, 201, r.text);
	r = await tandem.post("/datasets/houses/prepare", {});
	assert.ok(r.status < 300, r.text);
	assert.equal((await tandem.json("/datasets/houses?wait=20")).state, "ready");
	const spec = { data: { dataset: "houses", target: ["price"], standardize: ["features", "target"], batch_size: 32, split: { validation: 0.1, test: 0.2, by: "random" } },
		model: { layers: [{ type: "linear", out_features: 1 }] }, loss: "mse", optimizer: { type: "adam", lr: 0.05 }, train: { epochs: 30 } };
	const { id } = await tandem.finish(spec);
	const report = await tandem.json(`/jobs/${id}/report`);
	assert.equal(report.task, "regression");
	assert.equal(report.splits.test.samples, 60);
	assert.ok(report.splits.test.mae.value > 0 && report.splits.test.mae.value < 20_000, `mae ${report.splits.test.mae.value}`);
	assert.equal(report.residuals.target.length, 60);
	assert.ok(report.residuals.target.every((x) => x > 90_000), "prices, not deviations");
	const [sample] = report.samples;
	assert.equal(sample.target.price, sample.row.price);
	assert.ok(Math.abs(sample.prediction.price - sample.target.price) < 100_000);
	const refused = problem(assert, await tandem.post("/jobs", { ...spec, metrics: ["accuracy"] }), 422);
	assert.equal(refused.errors[0].pointer, "/metrics/0");
	assert.match((await artifact(id, "pytorch.py")).toString(), /^The columns of x, numbers less their mean[^\n]*:\n\n    0: size\n    1: rooms\n"""$/m);
	const figures = Object.values(report.splits).flatMap((split) => Object.values(split).filter((f) => typeof f === "object"));
	assert.ok(figures.length && figures.every((f) => f.standard_error === null || f.standard_error > 0), JSON.stringify(report.splits));
});

describe("batches of one sample, some of which do not count", () => {
	for (const mode of ["graph", "eager"])
		test(`such steps have no loss to show, and the training goes on, in ${mode} mode`, async () => {
			const job = await tandem.finish(plain({ mode, data: { ...plain().data, batch_size: 1 }, loss: { type: "cross_entropy", ignore_index: 0 },
				train: { steps: 60, validate_every: 30 }, log: { every: 1 } }));
			const losses = await tandem.points(job.id, "train/loss"), norms = await values(job.id, "train/grad_norm");
			const counted = norms.map((norm, i) => [i + 1, norm]).filter(([, norm]) => norm > 0).map(([step]) => step);
			assert.equal(norms.length, 60);
			assert(counted.length > 40 && counted.length < 60, `${counted.length} of 60 samples count`);
			assert.deepEqual(losses.map((p) => p.step), counted);
			assert(losses.every((p) => Number(p.value) > 0));
			assert((await values(job.id, "val/loss")).every((v) => Number.isFinite(v) && v > 0));
		});
});
