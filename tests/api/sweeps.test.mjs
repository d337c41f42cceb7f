// Many jobs from one: what is tried, what is stopped, and that neither depends on chance.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, eventually, problem, sleep } from "./harness.mjs";

const sweep = (changes = {}) => ({
	name: "s", base: blobJob(), metric: "val/loss", goal: "min", strategy: "grid",
	space: { "/optimizer/lr": { values: [0.3, 0.01] }, "/seed": { values: [1, 2] } },
	...changes,
});

// What asha decides, from the definition: the first point at or after each rung's step, in the order of the children.
function decisions(curves, { min_steps, eta }, better) {
	const out = curves.map(() => ({ passed: 0, stopped: false }));
	for (let rung = 0, step = min_steps; rung < 12; rung++, step *= eta) {
		const seen = [];
		curves.forEach((curve, i) => {
			const value = curve.find((p) => p.step >= step)?.value;
			if (out[i].stopped || out[i].passed < rung || value === undefined) return;
			const rank = seen.filter((v) => !better(value, v)).length;
			seen.push(value);
			if (seen.length >= eta && rank >= Math.ceil(seen.length / eta)) Object.assign(out[i], { stopped: true, value });
			else out[i].passed++;
		});
	}
	return out;
}

describe("a sweep", () => {
	const tandem = new Tandem({ flags: { workers: 2, threads: 2 } });
	const post = (body, options) => tandem.post("/sweeps", body, options);
	async function make(body) {
		const r = await post(body);
		assert.equal(r.status, 201, r.text);
		return r.json;
	}
	async function finish(body) {
		const { id } = await make(body);
		for (;;) {
			const s = await tandem.json(`/sweeps/${id}?wait=30`);
			if (s.state !== "running") return s;
		}
	}
	before(async () => {
		await tandem.up();
		await uploadBlobs(tandem);
	});
	after(() => tandem.close());

	test("over a grid has each point once, as ordinary jobs, and names the best", async () => {
		const s = await finish(sweep());
		assert.deepEqual([s.state, s.max_jobs, s.counts], ["succeeded", 4, { succeeded: 4 }]);
		assert.deepEqual(s.jobs.map((j) => Object.values(j.params)), [[0.3, 1], [0.3, 2], [0.01, 1], [0.01, 2]]);
		for (const child of s.jobs) {
			const job = await tandem.job(child.id);
			assert.deepEqual(job.sweep, { id: s.id, index: child.index, params: child.params });
			assert.deepEqual([job.spec.optimizer.lr, job.spec.seed], Object.values(child.params));
			assert.deepEqual([job.state, job.name, job.summary["val/loss"]], ["succeeded", `s #${child.index}`, child.value]);
		}
		const lowest = Math.min(...s.jobs.map((j) => j.value));
		assert.deepEqual([s.best.value, s.best.job], [lowest, s.jobs.find((j) => j.value === lowest).id]);
		assert.equal((await tandem.json(`/jobs?sweep=${s.id}&sort=val/loss`)).items[0].id, s.best.job);
		assert.ok(s.finished >= s.created);
		const listed = (await tandem.json("/sweeps")).items.find((x) => x.id === s.id);
		assert.deepEqual([listed.best, listed.jobs, listed.base], [s.best, undefined, undefined]);
	});

	test("that draws draws the same for the same seed, and runs no more at once than it may", async () => {
		const random = (seed) => sweep({ strategy: "random", max_jobs: 6, parallel: 1, seed,
			space: { "/optimizer/lr": { log_uniform: [0.001, 1] }, "/model/layers/0/out_features": { int_uniform: [4, 16] }, "/data/batch_size": { quantized: [10, 40, 10] } } });
		const first = await make(random(5));
		let most = 0;
		for (let s = first; s.state === "running"; s = await tandem.json(`/sweeps/${first.id}`)) {
			most = Math.max(most, s.jobs.filter((j) => !["succeeded", "failed", "cancelled"].includes(j.state)).length);
			await sleep(5);
		}
		assert.equal(most, 1);
		const [one, two, other] = [await tandem.json(`/sweeps/${first.id}`), await finish(random(5)), await finish(random(6))];
		const params = (s) => s.jobs.map((j) => j.params);
		assert.equal(one.jobs.length, 6);
		assert.deepEqual(params(one), params(two));
		assert.deepEqual(one.jobs.map((j) => j.value), two.jobs.map((j) => j.value));
		assert.notDeepEqual(params(one), params(other));
		for (const p of params(one)) assert.ok(Number.isInteger(p["/model/layers/0/out_features"]) && p["/data/batch_size"] % 10 === 0);
	});

	test("by asha stops those that are not among the best, as its definition says", async () => {
		const asha = { min_steps: 5, eta: 2 };
		const s = await finish(sweep({ strategy: "asha", max_jobs: 16, parallel: 2, asha, metric: "val/accuracy", goal: "max",
			base: blobJob({ train: { epochs: 8, validate_every: 5, checkpoint_every: 100 } }), space: { "/optimizer/lr": { log_uniform: [0.0001, 1] }, "/seed": { int_uniform: [0, 99] } } }));
		const curves = [];
		for (const j of s.jobs) curves.push((await tandem.points(j.id, "val/accuracy")).map((p) => ({ step: p.step, value: Number(p.value) })));
		const expected = decisions(curves, asha, (a, b) => a > b);
		s.jobs.forEach((j, i) => {
			const e = expected[i];
			assert.deepEqual([j.rung, j.stopped_at !== null], [e.passed - (e.stopped ? 0 : 1), e.stopped], `child ${i}: ${JSON.stringify(j)}, expected ${JSON.stringify(e)}`);
			assert.equal(j.value, e.stopped ? e.value : curves[i].at(-1).value);
		});
		assert.ok(expected.some((e) => e.stopped) && expected.some((e) => !e.stopped), "some are stopped, and some are not");
		const stopped = s.jobs.find((j) => j.state === "cancelled");
		if (stopped) assert.match((await tandem.job(stopped.id)).detail ?? "", /sweep: rung \d+: value|^$/);
	});

	test("whose base or points are no jobs is refused, each fault where it stands", async () => {
		const pointers = async (changes) => problem(assert, await post(sweep(changes)), 422).errors.map((e) => e.pointer);
		assert.deepEqual(await pointers({ base: blobJob({ loss: "cross_entropie", optimizer: { type: "sgd", lrr: 1 } }) }), ["/base/loss", "/base/optimizer/lrr"]);
		assert.deepEqual(await pointers({ base: blobJob({ data: { dataset: "blobz", split: { validation: 0.1 } } }) }), ["/base/data/dataset"]);
		assert.ok((await pointers({ base: blobJob({ model: { layers: [{ type: "conv2d", out_channels: 2, kernel_size: 3 }] } }) }))[0].startsWith("/base/model"));
		assert.deepEqual(await pointers({ base: { kind: "external", name: "x" } }).then((list) => list[0]), "/base/kind");
		assert.deepEqual(await pointers({ space: { "/optimizer/lr": { values: [0.1, -1, "x"] }, "/optimizer/lrr": { values: [1] } } }), ["/space/~1optimizer~1lrr", "/space/~1optimizer~1lr"]);
		assert.deepEqual(await pointers({ space: { "/no/where": { values: [1] } } }), ["/space/~1no~1where"]);
		assert.deepEqual(await pointers({ space: { "/defaults": { values: ["pytorch", "keras"] } } }), ["/space/~1defaults"]);
		assert.deepEqual(await pointers({ space: { "/optimizer/lr": { uniform: [0, 1] } } }), ["/space/~1optimizer~1lr/uniform"]);
		assert.deepEqual(await pointers({ space: {} }), ["/space"]);
		assert.deepEqual(await pointers({ max_jobs: 3 }), ["/max_jobs"]);
		assert.deepEqual(await pointers({ goal: "best" }), ["/goal"]);
		assert.deepEqual(await pointers({ metrik: 1 }), ["/metrik"]);
		assert.deepEqual(await pointers({ metric: "test/loss", strategy: "asha", max_jobs: 2, asha: { min_steps: 5 } }), ["/metric"]);
		assert.deepEqual(await pointers({ base: blobJob({ data: { dataset: "blobs", split: { validation: 0, test: 0.1 } } }) }), ["/metric"]);
		assert.deepEqual(await pointers({ metric: "val/f1" }), ["/metric"], "the base does not measure it");
		const count = (await tandem.json("/jobs?limit=1000")).items.length;
		assert.equal((await tandem.json("/sweeps?limit=100")).items.reduce((n, s) => n + s.max_jobs, 0), count, "nothing was left of any");
	});

	test("is listed in pages, newest first, each with the way to the next", async () => {
		const all = (await tandem.json("/sweeps?limit=100")).items.map((s) => s.id), seen = [];
		assert.ok(all.length >= 3);
		for (let where = "/sweeps?limit=2"; where;) {
			const { json, headers } = await tandem.get(where);
			seen.push(...json.items.map((s) => s.id));
			assert.deepEqual([json.has_more, json.next], seen.length < all.length ? [true, seen.at(-1)] : [false, null]);
			where = headers.link?.match(/^<\/api\/v1(.*)>; rel="next"$/)[1];
		}
		assert.deepEqual(seen, all);
	});

	test("is refused where a model does not fit at a corner of the space, and says which values do that", async () => {
		const refused = async (changes) => problem(assert, await post(sweep(changes)), 422).errors;
		const layers = await refused({ space: { "/optimizer/lr": { values: [0.1, 0.2] }, "/model/layers/0": { values: [{ type: "linear", out_features: 4 }, { type: "conv2d", out_channels: 2, kernel_size: 3 }] } } });
		assert.deepEqual(layers.map((e) => e.pointer), ["/space/~1model~1layers~10"]);
		assert.match(layers[0].detail, /^with \{"\/optimizer\/lr":0\.1,"\/model\/layers\/0":\{"type":"conv2d".*: conv2d/);
		const space = { "/model/layers/2/out_features": { int_uniform: [1, 3] } };
		const range = await refused({ strategy: "random", max_jobs: 9, space });
		assert.deepEqual(range.map((e) => e.pointer), ["/space/~1model~1layers~12~1out_features"]);
		assert.match(range[0].detail, /^with \{"\/model\/layers\/2\/out_features":1\}: .*3 classes/);
		// What fits only together is one point of a grid that has others.
		const both = { "/model/layers/0/out_features": { values: [4, 8] }, "/model/layers/2/in_features": { values: [4, 8] } };
		assert.ok((await refused({ base: blobJob({ model: { layers: [{ type: "linear", out_features: 8 }, "relu", { type: "linear", in_features: 8, out_features: 3 }] } }), space: both })).length > 0);
	});

	test("is made once for each Idempotency-Key", async () => {
		const options = { headers: { "idempotency-key": "sweep-1" } };
		const first = await post(sweep({ space: { "/seed": { values: [1] } } }), options);
		const again = await post(sweep({ space: { "/seed": { values: [1] } } }), options);
		assert.deepEqual([first.status, again.status, again.json.id, first.headers.location], [201, 201, first.json.id, `/api/v1/sweeps/${first.json.id}`]);
		problem(assert, await post(sweep(), options), 422);
	});

	test("is cancelled with its jobs, and bears no more", async () => {
		const { id } = await make(sweep({ parallel: 2, base: blobJob({ train: { epochs: 100_000, validate_every: "epoch", checkpoint_every: 1000 } }) }));
		const some = async (state) => (await tandem.json(`/sweeps/${id}`)).jobs.some((j) => j.state === state);
		await eventually("a job of it runs", () => some("running"));
		const r = await tandem.post(`/sweeps/${id}/cancel`);
		assert.deepEqual([r.status, r.json.state], [200, "cancelled"]);
		for (const j of r.json.jobs) assert.equal((await tandem.until(j.id, "cancelled")).reason.includes("cancelled"), true);
		assert.equal((await tandem.json(`/sweeps/${id}`)).jobs.length, 2);
		problem(assert, await tandem.post(`/sweeps/${id}/cancel`), 409);
		problem(assert, await tandem.post("/sweeps/nosuch/cancel"), 404);
		problem(assert, await tandem.get("/sweeps/nosuch"), 404);
	});

	test("keeps what its children were worth when they are deleted, and goes on when one is while it runs", async () => {
		const { id } = await make(sweep({ parallel: 1 }));
		let s;
		await eventually("a job of it is over", async () => {
			s = await tandem.json(`/sweeps/${id}`);
			return s.jobs.some((j) => j.state === "succeeded");
		});
		await tandem.request("DELETE", `/jobs/${s.jobs[0].id}`);
		while ((s = await tandem.json(`/sweeps/${id}?wait=30`)).state === "running");
		assert.deepEqual([s.state, s.jobs.length], ["succeeded", 4]);
		for (const j of s.jobs) await tandem.request("DELETE", `/jobs/${j.id}?purge=1`);
		const left = await tandem.json(`/sweeps/${id}`);
		assert.deepEqual(left.jobs.map((j) => [j.value, j.params, j.state]), s.jobs.map((j) => [j.value, j.params, j.state]));
		assert.deepEqual(left.best, s.best);
	});

	test("goes on after a kill as if nothing had been", async () => {
		const body = sweep({ strategy: "random", max_jobs: 8, parallel: 2, seed: 9, space: { "/optimizer/lr": { log_uniform: [0.001, 1] } } });
		const undisturbed = await finish(body);
		const { id } = await make(body);
		for (let i = 0; i < 3; i++) {
			await sleep(60);
			const pids = tandem.workers();
			await tandem.kill();
			tandem.killWorkers(pids);
			await tandem.up();
		}
		let s;
		while ((s = await tandem.json(`/sweeps/${id}?wait=30`)).state === "running");
		assert.deepEqual(s.jobs.map((j) => [j.index, j.params, j.value, j.state]), undisturbed.jobs.map((j) => [j.index, j.params, j.value, j.state]));
		assert.equal((await tandem.json(`/jobs?sweep=${id}`)).items.length, 8);
	});

	test("belongs to who made it", async () => {
		const token = async (owner, scope) => (await tandem.post("/tokens", { owner, scope }, { token: tandem.token })).json.token;
		tandem.token = await token("root", "admin");
		const [ada, bob] = [await token("ada", "run"), await token("bob", "run")];
		const made = await post(sweep({ base: blobJob({ train: { epochs: 100_000 } }) }), { token: ada });
		assert.equal(made.json.owner, "ada");
		problem(assert, await tandem.post(`/sweeps/${made.json.id}/cancel`, undefined, { token: bob }), 403);
		const s = await tandem.post(`/sweeps/${made.json.id}/cancel`, undefined, { token: ada });
		assert.equal(s.json.state, "cancelled");
		for (const j of s.json.jobs) assert.equal((await tandem.until(j.id, "cancelled")).owner, "ada");
	});
});
