// New jobs from checkpoints of others.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, problem } from "./harness.mjs";

describe("a fork", () => {
	const tandem = new Tandem();
	let half, whole;
	const fork = (id, body, options) => tandem.post(`/jobs/${id}/fork`, body, options);
	const weights = async (id) => (await tandem.fingerprint(id)).weights["model.safetensors"];
	before(async () => {
		await tandem.up();
		await uploadBlobs(tandem);
		half = await tandem.finish(blobJob());
		whole = await tandem.finish(blobJob({ train: { ...blobJob().train, epochs: 4 } }));
	});
	after(() => tandem.close());

	test("goes on from there to the same weights, bit by bit, as a job that was never interrupted", async () => {
		const made = await fork(half.id, { from: "last", set: { "/train/epochs": 4 }, name: "further" });
		assert.equal(made.status, 201, made.text);
		const { id, parent } = made.json;
		assert.equal(made.headers.location, `/api/v1/jobs/${id}`);
		assert.deepEqual([parent.job, parent.checkpoint, parent.step], [half.id, "last", half.progress.n_steps]);
		const end = await tandem.until(id, "succeeded");
		assert.deepEqual([end.name, end.spec.train.epochs, end.parent.job], ["further", 4, half.id]);
		assert.equal(await weights(id), await weights(whole.id));
		assert.notEqual(await weights(id), await weights(half.id));
		const loss = await tandem.points(id, "train/loss");
		assert.equal(loss[0].step, half.progress.n_steps + 1);
		assert.deepEqual(loss, (await tandem.points(whole.id, "train/loss")).slice(half.progress.n_steps));
	});

	test("does so also when the daemon is killed as soon as it has answered, and when its parent is gone", async () => {
		const parent = await tandem.finish(blobJob());
		const { id } = (await fork(parent.id, { from: `step:${parent.progress.n_steps}`, set: { "/train/epochs": 4 } })).json;
		const pids = tandem.workers();
		await tandem.kill();
		tandem.killWorkers(pids);
		await tandem.up();
		assert.equal((await tandem.request("DELETE", `/jobs/${parent.id}?purge=1`)).status, 204);
		await tandem.until(id, "succeeded");
		assert.equal(await weights(id), await weights(whole.id));
	});

	test("begins at any of the checkpoints that a job keeps", async () => {
		const parent = await tandem.finish(blobJob({ train: { ...blobJob().train, keep: { last: 3 } } }));
		const { items } = await tandem.json(`/jobs/${parent.id}/checkpoints`);
		assert.deepEqual(items.map((c) => c.step), [48, 40, 30], "the newest three");
		assert.equal((await tandem.files(parent.id)).filter((name) => name.startsWith("last-")).length, 3);
		const { id } = (await fork(parent.id, { from: "step:30" })).json;
		await tandem.until(id, "succeeded");
		assert.equal(await weights(id), await weights(parent.id));
		assert.equal((await tandem.points(id, "train/loss"))[0].step, 31);
	});

	test("is refused where nothing is left to train", async () => {
		for (const set of [{}, { "/train/epochs": 1 }, { "/train": { steps: 3 } }]) {
			const p = problem(assert, await fork(half.id, { from: "last", set }), 422);
			assert.equal(p.errors[0].pointer, "/set");
			assert.match(p.errors[0].detail, /let it train longer/);
		}
	});

	test("has the learning rate that it is given, and else the one that a plateau has left", async () => {
		const schedule = { type: "plateau", metric: "val/accuracy", patience: 0, threshold: 1, factor: 0.5 };
		const parent = await tandem.finish(blobJob({ schedule, train: { ...blobJob().train, epochs: 2 } }));
		const rate = async (id) => Number((await tandem.points(id, "train/lr")).at(0).value);
		const left = Number((await tandem.points(parent.id, "train/lr")).at(-1).value);
		assert.ok(left < 0.05, "it was lowered");
		for (const [set, expected] of [[{}, left / 2], [{ "/optimizer/lr": 0.03 }, 0.03], [{ "/schedule": { type: "constant" } }, 0.1]]) {
			const { id } = (await fork(parent.id, { from: "last", set: { ...set, "/train/epochs": 3 } })).json;
			await tandem.until(id, "succeeded");
			const got = await rate(id);
			assert.ok(Math.abs(got - expected) < 1e-12 || (!Object.keys(set).length && got <= left), `${JSON.stringify(set)}: ${got}`);
		}
	});

	test("says which checkpoints there are when it is asked for another", async () => {
		assert.match(problem(assert, await fork(half.id, { from: "step:7" }), 409).detail, new RegExp(`last \\(step:${half.progress.n_steps}\\)`));
		problem(assert, await fork(half.id, { from: "best" }), 409);
		for (const from of ["first", "step:", "step:x", "step:-1", "step:1x", ""]) problem(assert, await fork(half.id, { from }), 400);
		problem(assert, await fork("01M83AEJGW62J8W9EK9CE8Q9WQ", {}), 404);
	});

	test("takes a field away that is set to null, so that one of two may stand for the other", async () => {
		const parent = await tandem.finish(blobJob({ train: { steps: 10 } }));
		const set = { "/train/steps": null, "/train/epochs": 2, "/train/early_stopping": null };
		problem(assert, await fork(parent.id, { set: { "/train/epochs": 2 } }), 422);
		const made = await fork(parent.id, { set });
		assert.equal(made.status, 201, made.text);
		const end = await tandem.until(made.json.id, "succeeded");
		assert.deepEqual(["steps" in end.spec.train, end.spec.train.epochs, end.progress.n_steps > 10], [false, 2, true]);
		const refused = problem(assert, await fork(parent.id, { set: { "/model/layers/0": null, loss: null, "/no/where": null } }), 422).errors;
		assert.deepEqual(refused.map((e) => e.pointer), ["/set/~1model~1layers~10", "/set/loss", "/set/~1no~1where"]);
	});

	test("refuses fields that the spec does not have, each where it stands in the request", async () => {
		const places = problem(assert, await fork(half.id, { from: "last", set: { "/no/where": 1, optimizer: 2, "/model/layers/9": "relu" } }), 422).errors;
		assert.deepEqual(places.map((e) => e.pointer), ["/set/~1no~1where", "/set/optimizer", "/set/~1model~1layers~19"]);
		const fields = problem(assert, await fork(half.id, { from: "last", set: { "/optimizer/lrr": 1, "/train/epochs": "x" } }), 422).errors;
		assert.deepEqual(fields.map((e) => e.pointer), ["/set/~1optimizer~1lrr", "/set/~1train~1epochs"]);
		assert.ok([...places, ...fields].every((e) => e.line === 1 && e.column > 1), "with line and column");
		assert.match(fields[0].detail, /did you mean "lr"/);
		const [defaults] = problem(assert, await fork(half.id, { set: { "/defaults": "keras" } }), 422).errors;
		assert.deepEqual([defaults.pointer, /all are given already/.test(defaults.detail)], ["/set/~1defaults", true]);
		problem(assert, await fork(half.id, { from: "last", sett: {} }), 422);
	});

	test("says of a field that it breaks the model what the checker says", async () => {
		const p = problem(assert, await fork(half.id, { set: { "/loss": "bce_with_logits" } }), 422);
		assert.ok(p.errors.length > 0 && p.errors.every((e) => e.pointer.startsWith("/set")), p.errors.map((e) => e.pointer).join());
	});

	test("of another model is refused, with the layer whose weights do not fit", async () => {
		const errors = async (set) => problem(assert, await fork(half.id, { set: { "/train/epochs": 3, ...set } }), 422).errors;
		const [first, ...others] = await errors({ "/model/layers/0/out_features": 9 });
		assert.equal(first.pointer, "/set/~1model~1layers~10~1out_features");
		assert.match(first.detail, /"0\.weight" is .*9.*3.*, but \[8,3\] in the checkpoint/);
		assert.ok(others.every((e) => e.pointer.startsWith("/set")));
		assert.match((await errors({ "/model/layers/1": "layer_norm" }))[0].detail, /the checkpoint has no "1\.(weight|bias)"/);
		const fewer = await errors({ "/model": { layers: [{ type: "linear", out_features: 8 }] } });
		assert.ok(fewer.length > 0, "layers that are left out");
		const same = await fork(half.id, { set: { "/train/epochs": 3, "/model/layers/1": "tanh" } });
		assert.equal(same.status, 201, same.text);
		await tandem.until(same.json.id, "succeeded");
	});

	test("is made once for each Idempotency-Key, and leaves no folder behind", async () => {
		const count = () => readdirSync(path.join(tandem.data, "jobs")).length;
		const options = { headers: { "idempotency-key": "fork-1" } };
		const body = { from: "last", set: { "/train/epochs": 3 } };
		const first = await fork(half.id, body, options);
		const folders = count();
		const again = await fork(half.id, body, options);
		assert.deepEqual([again.status, again.json.id, again.headers["idempotent-replayed"]], [201, first.json.id, "true"]);
		problem(assert, await fork(half.id, { ...body, name: "x" }, options), 422);
		assert.equal(count(), folders);
		await tandem.until(first.json.id, "succeeded");
	});

	test("is nothing that an external job can have", async () => {
		const { id } = await tandem.submit({ kind: "external", name: "x" });
		assert.match(problem(assert, await fork(id, {}), 409).detail, /external/);
	});
});
