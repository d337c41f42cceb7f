// Whatever dies, whenever: a job ends with the bits that it would have had undisturbed.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { before, after, describe } from "node:test";
import { assert_same, randoms, torment } from "../chaos/kill.mjs";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, convolutional, eventually, interrupted, patience, sleep, start, thorough } from "./harness.mjs";
import { settled } from "./replays.mjs";

const KILLS = 8;
const TERMINAL = ["succeeded", "failed", "cancelled", "timed_out"];

describe("a job goes on with the same bits", () => {
	const tandem = new Tandem({ flags: { "grace-seconds": 2 } });
	const job = (changes = {}) => convolutional({ train: { epochs: 4, checkpoint_every: 10 }, retries: 50, ...changes });
	let reference;
	before(async () => {
		await tandem.up();
		reference = await tandem.fingerprint((await tandem.finish(job())).id);
	});
	after(() => tandem.close());

	const ends_the_same = async (id) => {
		const end = await tandem.until(id, "succeeded");
		assert_same(await tandem.fingerprint(id), reference);
		return end;
	};

	test("after its worker was killed", async () => {
		const end = await interrupted(async () => {
			const { id } = await tandem.submit(job());
			await tandem.untilStep(id, 25);
			tandem.killWorkers();
			return ends_the_same(id);
		});
		assert.ok(end.history.some((h) => h.to === "interrupted"), "its history tells of the interruption");
	});

	test("after its daemon was killed, while the worker trained on", async () => {
		const { id } = await tandem.submit(job());
		await tandem.untilStep(id, 25);
		await tandem.kill();
		await sleep(300);
		await tandem.up();
		await ends_the_same(id);
	});

	test("after both were killed", async () => {
		const { id } = await tandem.submit(job());
		await tandem.untilStep(id, 25);
		const workers = tandem.workers();
		await tandem.kill();
		tandem.killWorkers(workers);
		await tandem.up();
		await ends_the_same(id);
	});

	test("after the daemon was told to stop, and started again", async () => {
		const { id } = await tandem.submit(job());
		await tandem.untilStep(id, 25);
		const began = Date.now();
		const { code } = await tandem.stop();
		assert.equal(code, 0);
		assert.ok(Date.now() - began < 9000 * patience, "it drains within --drain-seconds");
		await tandem.up();
		const back = await tandem.job(id);
		assert.ok(!TERMINAL.includes(back.state) || back.state === "succeeded");
		assert.ok(back.progress.step >= 25, "it checkpointed before it left");
		await ends_the_same(id);
	});

	test(`after ${KILLS} kills at random moments`, async (t) => {
		const { id } = await tandem.submit(job());
		const seed = Number(process.env.TANDEM_SEED ?? 20240229);
		t.diagnostic(`TANDEM_SEED=${seed}: ${JSON.stringify(await torment(tandem, id, KILLS, 500, randoms(seed)))}`);
		await ends_the_same(id);
	});

	test("but not from a checkpoint whose bytes have changed", async () => {
		const { id } = await tandem.submit(job({ train: { epochs: 1000, checkpoint_every: 10 } }));
		await tandem.untilStep(id, 15);
		await tandem.post(`/jobs/${id}/pause`);
		await tandem.until(id, "paused");
		const folder = path.join(tandem.data, "jobs", id);
		const file = path.join(folder, readdirSync(folder).find((name) => name.startsWith("last-")));
		const bytes = readFileSync(file);
		bytes[bytes.length - 2] ^= 1;
		writeFileSync(file, bytes);
		await tandem.post(`/jobs/${id}/resume`);
		const end = await tandem.until(id, "failed");
		assert.equal(end.reason, "corrupt");
		assert.match(end.error.detail, /sha256/);
	});

	test("and others start after somebody has removed the workers' socket", async () => {
		rmSync(path.join(tandem.data, "worker.sock"));
		const ids = [];
		for (let i = 0; i < 3; i++) ids.push((await tandem.submit(job({ train: { steps: 2 } }))).id); // more than wait warm
		for (const id of ids) await tandem.until(id, "succeeded");
	});

	test("when the pack of its data is gone, it is made again", async () => {
		const end = await interrupted(async () => {
			const { id } = await tandem.submit(job());
			await tandem.untilStep(id, 25);
			await tandem.post(`/jobs/${id}/pause`);
			const paused = await tandem.until(id, ["paused", "succeeded"]);
			if (paused.state === "succeeded") return paused;
			const folder = path.join(tandem.data, "datasets", "fashion-mnist");
			for (const name of readdirSync(folder).filter((name) => name.startsWith("pack-")))
				rmSync(path.join(folder, name), { recursive: true });
			await tandem.post(`/jobs/${id}/resume`);
			return ends_the_same(id);
		});
		assert.ok(end.history.some((h) => h.to === "preparing" && h.from === "queued"), "it waited for its data again");
	});

	test("and a spent number of attempts ends it as failed, with the reason", async () => {
		const { id } = await tandem.submit(job({ train: { epochs: 1000 }, retries: 1 }));
		for (let attempt = 1; attempt <= 2; attempt++) {
			await eventually(`attempt ${attempt} trains`, async () => {
				const now = await tandem.job(id);
				return now.attempt === attempt && now.state === "running" && now.progress?.step >= 1;
			});
			await sleep(50);
			tandem.killWorkers();
		}
		const end = await tandem.until(id, "failed");
		assert.equal(end.attempt, 2);
		assert.match(end.reason, /^[a-z_]+$/);
	});
});

describe("what a job has drawn, remembered and decided is the same after a kill", () => {
	const tandem = new Tandem({ flags: { "grace-seconds": 2 } });
	// A long validation, so that it is hit; and steps between checkpoints, so that there is something to repeat.
	const job = () => thorough({ retries: 50,
		data: { ...thorough().data, limit: 8000, split: { validation: 4000, by: "stratified" } },
		schedule: { ...thorough().schedule, patience: 0 },
		train: { ...thorough().train, epochs: 4, checkpoint_every: 17,
			early_stopping: { metric: "val/loss", patience: 2, min_delta: 0.03 } },
		log: { ...thorough().log, every: 1 } });
	let reference, record;
	before(async () => {
		await tandem.up();
		record = await tandem.finish(job());
		reference = await tandem.fingerprint(record.id);
		assert.ok(new Set(reference.series["train/lr"].map((p) => p.value)).size >= 6, "the learning rate warmed up and fell");
		assert.match((await tandem.get(`/jobs/${record.id}/log`)).text, /on a plateau[^]*stopping early/);
	});
	after(() => tandem.close());

	const same = async (id) => {
		const end = await tandem.until(id, "succeeded");
		assert_same(await tandem.fingerprint(id), reference);
		assert.equal(end.progress.step, record.progress.step, "it ended at the same step");
		return end;
	};

	// Kill the job's worker as soon as PHASE is shown after step FROM, unless the job is over before.
	async function killIn(id, phase, from) {
		for (;;) {
			const { progress, state } = await tandem.job(id);
			if (TERMINAL.includes(state)) return;
			if (progress?.phase === phase && progress.step >= from) return tandem.killWorkers();
			await sleep(3);
		}
	}

	test("in the middle of validations", async () => {
		await interrupted(async () => {
			const { id } = await tandem.submit(job());
			for (const from of [10, 30, 60]) await killIn(id, "validate", from);
			return same(id);
		});
	});

	test("in the middle of epochs", async () => {
		const { id } = await tandem.submit(job());
		for (const from of [5, 40, 75]) await killIn(id, "train", from);
		await same(id);
	});

	test(`at ${KILLS} random moments, of the worker, the daemon or both`, async (t) => {
		const { id } = await tandem.submit(job());
		const seed = Number(process.env.TANDEM_SEED ?? 20260301);
		t.diagnostic(`TANDEM_SEED=${seed}: ${JSON.stringify(await torment(tandem, id, KILLS, 600, randoms(seed)))}`);
		await same(id);
	});

	test("and so are its histograms, none lost and none doubled", async () => {
		const { id } = await tandem.submit(job());
		for (const from of [25, 55]) await killIn(id, "train", from);
		await same(id);
		const read = async (job) => tandem.json(`/jobs/${job}/histograms?name=weights%2F0.weight&max=1000`);
		const [a, b] = [await read(id), await read(record.id)];
		assert.ok(a.steps.length >= 3);
		assert.deepEqual(a, b);
	});
});

describe("a job on texts of several lengths is the same after a kill, with all that it leaves behind", () => {
	const tandem = new Tandem({ flags: { "grace-seconds": 2 } });
	const words = "the a of cat dog good bad nice film was is very not never plot actor".split(" ");
	const job = () => ({ name: "texts", project: "tests", seed: 3, retries: 50,
		data: { dataset: "reviews", batch_size: 10, split: { validation: 0.2, test: 0.2, by: "random" }, tokenizer: "word", max_length: 12 },
		model: { layers: [{ type: "embedding", embedding_dim: 8 }, { type: "lstm", hidden_size: 12, bidirectional: true, return: "last" }, { type: "dropout", p: 0.1 }, { type: "linear", out_features: 2 }] },
		loss: { type: "cross_entropy", label_smoothing: 0.1 }, metrics: ["accuracy", "roc_auc", "perplexity"],
		optimizer: { type: "rmsprop", lr: 0.002, momentum: 0.9, centered: true, groups: [{ params: "0.*", lr: 0.005 }, { params: "*.bias", weight_decay: 0.01 }] },
		schedule: { type: "cosine", unit: "step", warmup_steps: 10 },
		train: { epochs: 20, accumulate: 3, clip_norm: 1, checkpoint_every: 5, keep: { last: 3, best: "val/roc_auc" } },
		log: { every: 4, histograms_every: 50 }, resources: { threads: 1, memory_mb: 512 } });
	let record, reference;

	// Everything that a job leaves, but for what it took, and for the checkpoints on its way: at the ends of epochs the clock decides.
	async function remains(id) {
		const { time_s, train_s, samples_per_second, peak_bytes, ...report } = await tandem.json(`/jobs/${id}/report`);
		const { series, weights } = await tandem.fingerprint(id);
		const { progress } = await tandem.job(id), kept = (await tandem.json(`/jobs/${id}/checkpoints`)).items;
		const checkpoints = kept.filter((c) => c.kind === "best" || c.step === progress.step).map((c) => [c.kind, c.step, c.sha256]).sort();
		const artifacts = (await tandem.json(`/jobs/${id}/artifacts`)).items.map((a) => [a.name, a.sha256]).sort();
		return { series, weights, checkpoints, artifacts, report };
	}
	// Kill the worker once PHASE is shown from step FROM on, unless the job is over before.
	async function kill(id, phase, from) {
		for (;;) {
			const { progress, state } = await tandem.job(id);
			if (TERMINAL.includes(state)) return false;
			if (state === "running" && progress.phase === phase && progress.step >= from) break;
			await sleep(2);
		}
		tandem.killWorkers();
		return true;
	}
	before(async () => {
		await tandem.up();
		const random = randoms(5), lines = ["text,label"];
		for (let i = 0; i < 600; i++) lines.push(`${Array.from({ length: 1 + random(14) }, () => words[random(words.length)]).join(" ")},${random(2) ? "pos" : "neg"}`);
		await tandem.post("/datasets", { name: "reviews", format: { type: "labelled_text" } });
		await tandem.request("PUT", "/datasets/reviews/files/reviews.csv", { body: lines.join("\n"), headers: { "content-type": "application/octet-stream" } });
		await tandem.post("/datasets/reviews/prepare", {});
		assert.equal((await tandem.json("/datasets/reviews?wait=30")).state, "ready");
		record = await tandem.finish(job());
		reference = await remains(record.id);
		assert.deepEqual(reference.checkpoints.map(([kind]) => kind), ["best", "last"]);
	});
	after(() => tandem.close());

	test("in the middle of epochs, and of the last evaluation", async () => {
		const { id } = await tandem.submit(job());
		for (const from of [7, 90, 160]) await kill(id, "train", from);
		await kill(id, "test", record.progress.step);
		await tandem.until(id, "succeeded");
		assert.deepEqual(await remains(id), reference);
	});

	test("and so is its fork", async () => {
		const fork = async () => (await tandem.post(`/jobs/${record.id}/fork`, { from: "best", set: { "/train/epochs": 30 } })).json;
		const whole = await fork(), { id } = await fork();
		await kill(id, "train", whole.parent.step + 1);
		await kill(id, "train", whole.parent.step + 20);
		for (const one of [whole.id, id]) await tandem.until(one, "succeeded");
		assert.deepEqual(await remains(id), await remains(whole.id));
	});
});

test("what a crash leaves without a row is gone after the next start, and nothing else", async (t) => {
	const tandem = await start(t);
	await uploadBlobs(tandem);
	const { id } = await tandem.finish(blobJob());
	await tandem.post(`/jobs/${id}/replay`, { step: 3 });
	const replay = await settled(tandem, id, 3), nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV", at = (...names) => path.join(tandem.data, ...names);
	const list = (...names) => readdirSync(at(...names)).sort();
	const files = async () => [await tandem.files(id), list("replays", id), list("replays", id, replay.id)];
	const before_ = await files();
	await tandem.kill();
	const lost = [at("jobs", nobody), at("replays", nobody), at("replays", id, `${nobody}-1.part`), at("tmp")];
	for (const folder of lost) mkdirSync(folder, { recursive: true });
	for (const folder of [...lost, at("jobs", id)]) writeFileSync(path.join(folder, "last-7.safetensors"), "half");
	await tandem.up();
	for (const folder of lost.slice(0, 3)) assert.ok(!existsSync(folder), folder);
	assert.ok(!existsSync(at("tmp", "last-7.safetensors")));
	assert.deepEqual(await files(), before_);
});
