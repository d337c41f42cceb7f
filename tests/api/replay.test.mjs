// A look inside any step: the step done again, eagerly, with the same bits, and the op to blame where it stopped being finite.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, existsSync, rmSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { blobJob, npy, uploadBlobs } from "./blobs.mjs";
import { Tandem, endless, eventually, problem, sleep, start, thorough } from "./harness.mjs";
import { settled } from "./replays.mjs";

async function ask(tandem, id, body, status = 201) {
	const r = await tandem.post(`/jobs/${id}/replay`, body);
	assert.equal(r.status, status, r.text);
	return r.json;
}

async function replayed(tandem, id, step, steps = 1) {
	await ask(tandem, id, { step, steps });
	const replay = await settled(tandem, id, step);
	assert.equal(replay.state, "succeeded", replay.detail);
	return replay;
}

// The elements of a float32 NPY file.
function floats(bytes) {
	const at = 10 + bytes.readUInt16LE(8);
	assert.match(bytes.toString("latin1", 10, at), /'descr': '<f4', 'fortran_order': False/);
	return Array.from({ length: (bytes.length - at) / 4 }, (_, i) => bytes.readFloatLE(at + 4 * i));
}

// The tensors of a safetensors file: name -> numbers.
function tensors(bytes) {
	const n = Number(bytes.readBigUInt64LE(0)), head = JSON.parse(bytes.toString("utf8", 8, 8 + n));
	delete head.__metadata__;
	return Object.fromEntries(Object.entries(head).map(([name, { data_offsets: [from, to] }]) =>
		[name, Array.from({ length: (to - from) / 4 }, (_, i) => bytes.readFloatLE(8 + n + from + 4 * i))]));
}

describe("a replay of a job with all that can lose determinism", () => {
	const tandem = new Tandem();
	let job;
	before(async () => {
		await tandem.up();
		job = await tandem.finish(thorough({ train: { epochs: 2, accumulate: 2, clip_norm: 1, validate_every: 10, checkpoint_every: 7, keep: { best: "val/accuracy", last: 4 } } }));
	});
	after(() => tandem.close());

	test("has the same bits at any step: eager as graph, and both as recorded", async () => {
		const steps = [1, 2 + Math.floor(Math.random() * 22), 25 + Math.floor(Math.random() * 20), job.progress.n_steps];
		for (const step of steps) {
			const r = await replayed(tandem, job.id, step);
			assert.deepEqual([r.verdict.identical, r.verdict.exact, r.verdict.differences, r.culprit], [true, true, [], null], `step ${step}: ${JSON.stringify(r.verdict)}`);
			assert.ok(r.verdict.compared.tensors === 20 && r.verdict.compared.bytes > 100_000, JSON.stringify(r.verdict));
			assert.ok(r.verdict.compared.recorded_points >= 3, `step ${step}: ${JSON.stringify(r.verdict)}`);
			assert.ok(r.verdict.compared.until_step >= step && r.verdict.compared.until_step <= step + 3);
			assert.ok(r.verdict.weights.compared && r.verdict.not_compared === null, `step ${step}: ${JSON.stringify(r.verdict)}`);
			assert.equal(r.from.step === 0 ? "start" : "checkpoint", r.from.kind);
			assert.ok(r.from.step < step);
			await tandem.request("DELETE", `/jobs/${job.id}/replays/${step}`);
		}
	});

	test("is compared with the checkpoint of its step by its hash", async () => {
		const { items } = await tandem.json(`/jobs/${job.id}/checkpoints`);
		const kept = items.filter((c) => c.kind === "last");
		assert.ok(kept.length >= 2, JSON.stringify(items));
		for (const step of [kept.at(-1).step, kept[0].step]) {
			const r = await replayed(tandem, job.id, step);
			assert.ok(r.verdict.identical && r.verdict.compared.checkpoints >= 1, JSON.stringify(r.verdict));
		}
	});

	test("tells of every value: who made it, who read it, its gradient, its range", async () => {
		const step = 20, r = await replayed(tandem, job.id, step, 2);
		assert.deepEqual(r.done.map((d) => [d.step, d.batches.map((b) => b.n)]), [[20, [32, 32]], [21, [32, 32]]]);
		for (const [i, node] of r.nodes.entries()) {
			assert.equal(node.id, i);
			for (const v of node.outputs) assert.equal(r.values[v].producer, i);
			for (const v of node.inputs) assert.ok(v === null || r.values[v].consumers.includes(i));
		}
		for (const [i, v] of r.values.entries()) {
			assert.equal(v.id, i);
			assert.ok(v.kept && v.non_finite === 0 && v.min <= v.mean + 1e-6 && v.mean <= v.max + 1e-6, JSON.stringify(v));
			assert.equal(v.histogram.counts.reduce((a, b) => a + b, 0), v.shape.reduce((a, b) => a * b, 1));
			if (v.gradient !== null) assert.deepEqual(r.values[v.gradient].shape, v.shape);
		}
		for (const name of ["0.weight", "1.weight", "6.bias"]) {
			const now = r.values.find((v) => v.kind === "parameter" && v.name === name && v.step === step);
			assert.equal(r.values[now.gradient].kind, "gradient");
			assert.ok(r.values.some((v) => v.kind === "update" && v.of === now.id), `${name} is updated`);
		}
		assert.deepEqual([...new Set(r.nodes.map((n) => n.phase))].sort(), ["backward", "forward", "metrics", "update"]);
		const loss = r.values.filter((v) => v.name === "loss" && v.step === step);
		assert.equal(loss.length, 2);
	});

	test("gives out values as NPY and JSON, which are those of the checkpoint", async () => {
		const { items } = await tandem.json(`/jobs/${job.id}/checkpoints`);
		const last = items.filter((c) => c.kind === "last").sort((a, b) => a.step - b.step).at(-1);
		const file = tensors(readFileSync(path.join(tandem.data, "jobs", job.id, last.name)));
		const r = await settled(tandem, job.id, last.step);
		let compared = 0;
		for (const v of r.values.filter((v) => v.kind === "update" && v.step === last.step && (file[v.name] ?? file[`model.${v.name}`]))) {
			const later = r.values.some((w) => w.of === v.id && w.kind === "update");
			if (later) continue; // written again: running means, of each batch
			const bytes = (await tandem.get(`/jobs/${job.id}/replays/${last.step}/values/${v.id}`)).bytes;
			assert.deepEqual(floats(bytes), file[v.name] ?? file[`model.${v.name}`], v.name);
			compared++;
		}
		assert.equal(compared, 20);
		const bias = r.values.find((v) => v.name === "6.bias");
		const json = await tandem.json(`/jobs/${job.id}/replays/${last.step}/values/${bias.id}?format=json`);
		assert.deepEqual([json.dtype, json.shape, json.data.length], ["float32", [10], 10]);
		assert.ok(Math.abs(bias.norm - Math.hypot(...json.data)) <= 1e-12 * bias.norm && bias.norm > 0, `${bias.norm}`);
		for (const where of ["", `/values/${bias.id}`]) { // a piece is cut out of the whole, wherever it begins
			const address = `/jobs/${job.id}/replays/${last.step}${where}`, whole = await tandem.get(address);
			assert.equal(Number(whole.headers["content-length"]), whole.bytes.length);
			for (const [from, to] of [[0, 9], [40, 99], [whole.bytes.length - 7, whole.bytes.length - 1]]) {
				const piece = await tandem.get(address, { headers: { range: `bytes=${from}-${to}` } });
				assert.deepEqual([piece.status, piece.bytes], [206, whole.bytes.subarray(from, to + 1)]);
			}
		}
		problem(assert, await tandem.get(`/jobs/${job.id}/replays/${last.step}/values/${r.values.length}`), 404);
		problem(assert, await tandem.get(`/jobs/${job.id}/replays/${last.step}/values/0?format=xml`), 400);
		const large = r.values.find((v) => v.shape.length === 4 && v.shape[0] === 32 && v.shape[1] === 8);
		problem(assert, await tandem.get(`/jobs/${job.id}/replays/${last.step}/values/${large.id}?format=json`), 413);
	});

	test("shows the samples of the batch as the model saw them", async () => {
		const r = await settled(tandem, job.id, 20);
		assert.equal(r.samples.length, 128);
		assert.ok(new Set(r.samples.map((s) => s.sample)).size > 100);
		for (const s of r.samples) assert.ok(s.image && Number.isFinite(s.loss) && typeof s.prediction === "string" && s.label.length >= 1, JSON.stringify(s));
		const png = await tandem.get(`/jobs/${job.id}/replays/20/samples/5`);
		assert.deepEqual([png.status, png.headers["content-type"], png.bytes.toString("latin1", 1, 4)], [200, "image/png", "PNG"]);
		problem(assert, await tandem.get(`/jobs/${job.id}/replays/20/samples/9999`), 404);
	});

	test("is there once for each step", async () => {
		const first = await ask(tandem, job.id, { step: 20 }, 200);
		assert.equal(first.steps, 2);
		problem(assert, await tandem.post(`/jobs/${job.id}/replay`, { step: 20, steps: 3 }), 409);
		const options = { headers: { "idempotency-key": "once" } };
		const a = await tandem.post(`/jobs/${job.id}/replay`, { step: 5 }, options), b = await tandem.post(`/jobs/${job.id}/replay`, { step: 5 }, options);
		assert.deepEqual([a.status, b.status, a.json.id === b.json.id], [201, 201, true]);
		await settled(tandem, job.id, 5);
	});

	test("is one of eight: the oldest goes, with its files", async () => {
		for (let step = 30; step < 38; step++) await ask(tandem, job.id, { step });
		await settled(tandem, job.id, 30);
		await ask(tandem, job.id, { step: 38 });
		for (let step = 31; step < 39; step++) await settled(tandem, job.id, step);
		const { items } = await tandem.json(`/jobs/${job.id}/replays`);
		assert.deepEqual(items.map((r) => r.step), [38, 37, 36, 35, 34, 33, 32, 31]);
		assert.ok(items.every((r) => r.state === "succeeded" && r.verdict.identical));
		const folder = path.join(tandem.data, "replays", job.id);
		await eventually("the oldest goes", () => readdirSync(folder).length === 8);
		assert.deepEqual(readdirSync(folder).sort(), items.map((r) => r.id).sort());
		assert.equal((await tandem.request("DELETE", `/jobs/${job.id}/replays/31`)).status, 204);
		assert.equal(readdirSync(folder).length, 7);
		problem(assert, await tandem.get(`/jobs/${job.id}/replays/31`), 404);
	});

	test("whose files are gone says so, and is made anew", async () => {
		const { id } = (await tandem.json(`/jobs/${job.id}/replays`)).items.find((r) => r.step === 37);
		rmSync(path.join(tandem.data, "replays", job.id, id), { recursive: true });
		for (const what of ["", "/values/0"])
			assert.match(problem(assert, await tandem.get(`/jobs/${job.id}/replays/37${what}`), 404).detail, /^the files of the replay of step 37 are gone; POST /);
		assert.equal((await replayed(tandem, job.id, 37)).verdict.identical, true);
	});

	test("is refused for steps that the job has not done, and bodies that say nothing", async () => {
		problem(assert, await tandem.post(`/jobs/${job.id}/replay`, { step: job.progress.n_steps + 1 }), 409);
		problem(assert, await tandem.post(`/jobs/${job.id}/replay`, { step: job.progress.n_steps, steps: 2 }), 409);
		for (const body of [{}, { step: 0 }, { step: "1" }, { step: 1, steps: 17 }, { step: 1, more: 1 }]) {
			const r = await tandem.post(`/jobs/${job.id}/replay`, body);
			assert.ok([400, 422].includes(r.status), `${JSON.stringify(body)}: ${r.status}`);
		}
		problem(assert, await tandem.post("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/replay", { step: 1 }), 404);
		for (const step of ["x", "0", "-1", "+38", "%2038", "38.0", "3.8e1", "99999999999999999999"])
			for (const method of ["GET", "DELETE"]) problem(assert, await tandem.request(method, `/jobs/${job.id}/replays/${step}`), 404);
		for (const where of ["values/+0", "values/%200", "values/1e0", "samples/-1", "samples/%200"]) problem(assert, await tandem.get(`/jobs/${job.id}/replays/38/${where}`), 404);
	});

	test("ends as a job that is removed for good does, files and all", async () => {
		const folder = path.join(tandem.data, "replays", job.id);
		assert.ok(existsSync(folder));
		assert.equal((await tandem.request("DELETE", `/jobs/${job.id}?purge=1`)).status, 204);
		assert.ok(!existsSync(folder));
	});
});

test("a job that runs, in either mode, can be looked into meanwhile", async (t) => {
	const tandem = await start(t);
	const job = await tandem.submit(endless({ mode: "eager" }));
	await tandem.untilStep(job.id, 60); // what comes of the weights after step 44 is recorded by now
	const r = await replayed(tandem, job.id, 43, 2);
	assert.deepEqual([r.verdict.identical, r.verdict.differences], [true, []]);
	assert.ok(r.verdict.compared.recorded_points >= 2);
	await tandem.act(job.id, "cancel");
});

test("a replay outlives the death of its process and of the daemon, and a third death is told", async (t) => {
	const tandem = await start(t);
	const job = await tandem.submit(endless());
	await tandem.untilStep(job.id, 400);
	await tandem.act(job.id, "cancel");
	await tandem.until(job.id, "cancelled");
	for (const c of (await tandem.json(`/jobs/${job.id}/checkpoints`)).items) rmSync(path.join(tandem.data, "jobs", job.id, c.name)); // it begins at the start, and takes a while
	const replayer = async () => {
		for (let i = 0; i < 1000; i++, await sleep(10)) {
			const w = (await tandem.json("/workers")).items.find((w) => w.role === "replayer" && w.state === "busy");
			if (w) return w.pid;
		}
		throw new Error("nobody replays");
	};
	await ask(tandem, job.id, { step: 390 });
	process.kill(await replayer(), "SIGKILL");
	await sleep(300);
	await replayer();
	await tandem.kill();
	await tandem.up();
	const r = await settled(tandem, job.id, 390);
	assert.deepEqual([r.state, r.verdict?.identical, r.from], ["succeeded", true, { kind: "start", step: 0 }], r.detail);

	await ask(tandem, job.id, { step: 391 });
	for (let i = 0, last = 0; i < 3; i++) {
		let pid;
		while ((pid = await replayer()) === last) await sleep(10);
		process.kill(last = pid, "SIGKILL");
	}
	const dead = await settled(tandem, job.id, 391);
	assert.deepEqual([dead.state, dead.verdict], ["failed", null]);
	assert.match(dead.detail, /3 processes.*signal 9/);
	await ask(tandem, job.id, { step: 392 });
	await settled(tandem, job.id, 392, ["running"]);
	await ask(tandem, job.id, { step: 391 }); // its row is the older one
	assert.equal((await settled(tandem, job.id, 392)).state, "succeeded");
	assert.equal(tandem.errors.match(/replaying job=\w+ step=392/g).length, 1, "it was not interrupted");
	assert.equal((await tandem.request("DELETE", `/jobs/${job.id}/replays/392`)).status, 204);
	await settled(tandem, job.id, 391, ["running"]);
	assert.equal((await tandem.request("DELETE", `/jobs/${job.id}/replays/391`)).status, 204);
	const folder = path.join(tandem.data, "replays", job.id);
	await eventually("what it had begun is gone", () => readdirSync(folder).length === 1);
});

// ---- Where a step stopped being finite ----

const layers = (...list) => ({ layers: list });
const linear = (out_features) => ({ type: "linear", out_features });

// Rows of chance with three classes, or with a value each: SPOIL may change them.
async function upload(tandem, name, n, features, { spoil, value } = {}) {
	const x = Array.from({ length: n * features }, (_, i) => Math.sin(i * 12.9898) * 2);
	spoil?.(x);
	const put = (file, bytes) => tandem.request("PUT", `/datasets/${name}/files/${file}`, { body: bytes, headers: { "content-type": "application/octet-stream" } });
	await tandem.post("/datasets", { name });
	await put("x.npy", npy("<f4", [n, features], x));
	await put("y.npy", value ? npy("<f4", [n, 1], Array.from({ length: n }, (_, i) => value(i))) : npy("<i8", [n], Array.from({ length: n }, (_, i) => i % 3)));
	await tandem.post("/datasets", { name });
	const ready = await tandem.json(`/datasets/${name}?wait=30`);
	assert.equal(ready.state, "ready", JSON.stringify(ready));
}

const job = (dataset, model, changes = {}) => blobJob({ data: { dataset, batch_size: 20, shuffle: false, split: { validation: 0 } }, model, train: { steps: 60 }, ...changes });
// A learning rate that is far too large, and ten times that with each step.
const diverging = (optimizer = { type: "sgd" }, changes = {}) => ({ optimizer: { ...optimizer, lr: 1e6 }, schedule: { type: "exponential", gamma: 10, unit: "step" }, ...changes });
const deep = (between) => layers(linear(8), ...(between ? [between] : []), linear(8), linear(3));

// name, spec, what the culprit must be.
const FAULTS = [
	["a learning rate, two linear layers", job("plain", layers(linear(8), linear(3)), diverging()), { kind: "op", op: "linear" }],
	["a learning rate, relu", job("plain", deep("relu"), diverging()), { kind: "op" }],
	["a learning rate, tanh", job("plain", deep("tanh"), diverging()), { kind: "op" }],
	["a learning rate, sigmoid", job("plain", deep("sigmoid"), diverging()), { kind: "op" }],
	["a learning rate, gelu", job("plain", deep("gelu"), diverging()), { kind: "op" }],
	["a learning rate, silu", job("plain", deep("silu"), diverging()), { kind: "op" }],
	["a learning rate, elu", job("plain", deep("elu"), diverging()), { kind: "op" }],
	["a learning rate, leaky relu", job("plain", deep("leaky_relu"), diverging()), { kind: "op" }],
	["a learning rate, dropout", job("plain", deep({ type: "dropout", p: 0.5 }), diverging()), { kind: "op" }],
	["a learning rate, batch norm", job("plain", deep("batch_norm"), diverging()), { kind: "op" }],
	["a learning rate, layer norm", job("plain", deep("layer_norm"), diverging()), { kind: "op" }],
	["a learning rate, momentum", job("plain", deep(), diverging({ type: "sgd", momentum: 0.9 })), { kind: "op", op: "linear" }],
	["a learning rate, Adam", job("plain", deep(), diverging({ type: "adam" })), { what: "grad_norm", kind: "op" }],
	["a learning rate, AdamW", job("plain", deep(), diverging({ type: "adamw" })), { kind: "op" }],
	["a learning rate, RMSprop", job("plain", deep(), diverging({ type: "rmsprop" })), { what: "grad_norm", kind: "op" }],
	["a learning rate, accumulated", job("plain", deep(), diverging(undefined, { train: { steps: 40, accumulate: 2 } })), { kind: "op" }],
	["a learning rate, clipped", job("plain", deep(), diverging(undefined, { train: { steps: 60, clip_norm: 1 } })), { kind: "op" }],
	["a learning rate, in eager mode", job("plain", deep(), diverging(undefined, { mode: "eager" })), { kind: "op" }],
	["a learning rate, mean squared error", job("values", layers(linear(1)), { ...diverging(), loss: "mse", metrics: ["mae"] }), { kind: "op" }],
	["a large input", job("huge", layers(linear(8), linear(3))), { step: 2, kind: "op", layer: "loss", op: /cross_entropy/, phase: "forward", samples: [10] }],
	["a large target, squared", job("far", layers(linear(1)), { loss: "mse", metrics: ["mae"] }), { step: 2, kind: "op", layer: "loss", phase: "forward", samples: [5] }],
	["division by a variance of zero, batch norm", job("flat", layers({ type: "batch_norm", eps: 0 }, linear(3))), { step: 1, kind: "op", layer: "0", op: /norm/ }],
	["division by a variance of zero, layer norm", job("zero", layers({ type: "layer_norm", eps: 0 }, linear(3))), { step: 2, kind: "op", layer: "0", op: /norm/, samples: [10] }],
	["division by a mean square of zero", job("zero", layers({ type: "rms_norm", eps: 0 }, linear(3))), { step: 2, kind: "op", layer: "0", samples: [10] }],
	["a large input, divided by little", job("huge", layers(linear(3)), { data: { dataset: "huge", batch_size: 20, shuffle: false, split: { validation: 0 }, transforms: [{ type: "normalize", mean: [0], std: [0.01] }] } }), { step: 2, kind: "input", name: "input", samples: [10], n_samples: 1 }],
	["probabilities that are all zero, divided by their sum", job("zero", layers({ ...linear(3), bias: false }), { loss: { type: "cross_entropy", from_probabilities: true } }), { step: 2, kind: "op", layer: "loss", op: "div", phase: "forward", samples: [10] }],
	["a learning rate that is infinite", job("plain", layers(linear(3), "softmax"), { loss: { type: "cross_entropy", from_probabilities: true }, ...diverging() }), { kind: "parameter", name: "0.weight" }],
];

describe("a step that is not finite", { concurrency: false }, () => {
	const tandem = new Tandem();
	before(async () => {
		await tandem.up();
		await upload(tandem, "plain", 300, 4);
		await upload(tandem, "huge", 300, 4, { spoil: (x) => { for (let i = 0; i < 4; i++) x[30 * 4 + i] = i % 2 ? 3e38 : -3e38; } });
		await upload(tandem, "zero", 300, 4, { spoil: (x) => { x.fill(0, 30 * 4, 31 * 4); } });
		await upload(tandem, "flat", 300, 4, { spoil: (x) => { for (let i = 0; i < 300; i++) x[i * 4 + 2] = 0; } });
		await upload(tandem, "values", 300, 4, { value: (i) => Math.sin(i) });
		await upload(tandem, "far", 300, 4, { value: (i) => (i === 25 ? 1e30 : Math.sin(i)) });
	});
	after(() => tandem.close());

	for (const [name, spec, wanted] of FAULTS)
		test(`stops the job before its update, and its replay names the culprit: ${name}`, async () => {
			const { id } = await tandem.submit(spec);
			const ended = await tandem.until(id, "failed");
			assert.deepEqual([ended.reason, ended.error.status], ["nonfinite", "NONFINITE"]);
			assert.match(ended.error.detail, /^step \d+: the (loss|gradient norm) is (NaN|-?Infinity)/);
			const step = ended.error.step;
			assert.equal(ended.progress.step, step - 1);
			const r = await settled(tandem, id, step), c = r.culprit;
			assert.deepEqual([r.state, r.automatic, r.verdict?.identical], ["succeeded", true, true], `${r.detail} ${JSON.stringify(r.verdict)}`);
			assert.ok(c, "it has a culprit");
			assert.equal(c.step, step);
			assert.deepEqual([r.verdict.weights, r.verdict.compared.until_step, r.verdict.compared.recorded_points], [{ compared: true, by: "no_update", step }, step, 2], JSON.stringify(r.verdict));
			assert.ok(r.values[c.value].non_finite > 0 && c.text.length > 20, JSON.stringify(c));
			if (c.kind === "op") {
				assert.ok(c.inputs.length && c.inputs.every((v) => v.non_finite === 0), JSON.stringify(c));
				assert.equal(r.nodes[c.node].op, c.op);
			}
			for (const [key, value] of Object.entries(wanted)) {
				if (value instanceof RegExp) assert.match(c[key], value, JSON.stringify(c));
				else assert.deepEqual(c[key], value, JSON.stringify(c));
			}
		});

	// A loss holds what its logarithm gets above zero, as Keras does; the logarithm of a zero itself is in test_recording.c.
	test("is not made by probabilities, or shares, that are exactly zero", async () => {
		const far = { ...linear(3), init: { type: "normal", std: 1e6 } }, data = { ...job("plain").data, transforms: ["one_hot"] };
		const held = [
			job("plain", layers(far, "softmax"), { loss: { type: "cross_entropy", from_probabilities: true } }),
			job("plain", layers(far, "sigmoid"), { loss: { type: "bce", eps: 1e-7 }, metrics: [], data }),
			job("plain", layers(linear(3), "log_softmax"), { loss: "kl_div", metrics: [], data }),
		];
		for (const spec of held) {
			const { id } = await tandem.finish({ ...spec, optimizer: { type: "sgd", lr: 0 }, train: { steps: 3 } });
			const r = await replayed(tandem, id, 1);
			const logs = r.nodes.filter((n) => n.op === "log" && n.layer === "loss").map((n) => r.values[n.inputs[0]]);
			assert.ok(logs.length >= 1 && logs.every((v) => v.min > 0) && logs.some((v) => v.min < 1e-6), JSON.stringify(logs));
			assert.equal(r.culprit, null);
		}
	});

	test("shows targets and answers that are values in their own units", async () => {
		const { id } = await tandem.finish(job("values", layers(linear(1)), { loss: "mse", metrics: ["mae"], train: { steps: 2 } }));
		const { samples } = await replayed(tandem, id, 1);
		assert.equal(samples.length, 20);
		for (const { sample, label, prediction, loss } of samples) {
			assert.deepEqual([Object.keys(label), Object.keys(prediction)], [["0"], ["0"]]);
			assert.ok(Math.abs(label[0] - Math.sin(sample)) < 1e-6 && Number.isFinite(prediction[0]) && loss >= 0, JSON.stringify({ sample, label, prediction, loss }));
		}
	});

	test("is left out when the job goes on, is counted, and the weights stay finite", async () => {
		const spec = job("huge", layers(linear(8), "relu", linear(3)), { train: { steps: 30, on_nonfinite: "continue", checkpoint_every: 4 } });
		const { id } = await tandem.finish(spec);
		const skipped = (await tandem.points(id, "train/skipped")).map((p) => Number(p.value));
		assert.deepEqual([skipped.length, skipped[1], skipped[2], skipped.at(-1)], [30, 1, 1, 2], "once in each epoch of 15 steps");
		assert.match((await tandem.get(`/jobs/${id}/log`)).text, /step 2: the (loss|gradient norm) is (NaN|-?Infinity); its update is left out/);
		const at = async (series) => (await tandem.points(id, series)).map((p) => Number(p.value));
		const [losses, norms] = [await at("train/loss"), await at("train/grad_norm")];
		assert.deepEqual(losses.map((x, i) => Number.isFinite(x) && Number.isFinite(norms[i])), losses.map((_, i) => i % 15 !== 1));
		const r = await settled(tandem, id, 2);
		assert.deepEqual([r.automatic, r.verdict.identical, r.culprit.kind, r.culprit.step], [true, true, "op", 2], JSON.stringify(r));
		const { warnings } = await tandem.json(`/jobs/${id}`);
		assert.deepEqual(warnings.map((w) => w.code), ["nonfinite"], "once, though two steps were left out");
		assert.match(warnings[0].text, /^step 2: the (loss|gradient norm) is (NaN|-?Infinity), .*replays\/2/);
		assert.deepEqual((await tandem.json(`/jobs/${id}/replays`)).items.map((i) => i.step), [2], "of the first alone");
		const before = r.values.find((v) => v.kind === "parameter" && v.name === "0.weight"), now = r.values.find((v) => v.kind === "update" && v.of === before.id);
		assert.deepEqual([now.min, now.max, now.mean], [before.min, before.max, before.mean], "the gate was closed");
	});

	test("is looked into by itself while the job goes on, with few points recorded", async () => {
		const { id } = await tandem.submit(job("huge", layers(linear(8), "relu", linear(3)), { train: { epochs: 1_000_000, on_nonfinite: "continue" }, log: { every: 10 } }));
		const r = await settled(tandem, id, 2);
		assert.equal((await tandem.json(`/jobs/${id}`)).state, "running");
		assert.deepEqual([r.state, r.automatic, r.verdict?.identical, r.verdict?.weights.compared, r.culprit?.step], ["succeeded", true, true, true, 2], JSON.stringify(r.verdict));
		assert.ok(!Number.isFinite((await tandem.points(id, "train/grad_norm"))[0].value * 1), "where it was left out, the curves have a point");
		await tandem.act(id, "cancel");
	});
});
