// A sweep of 40 jobs on two workers, once undisturbed and once under N (10) random kill -9 of workers, of the daemon, or of both.
// The same children, the same decisions, the same values, and each child that was not stopped with the same weights, or it fails.
// TANDEM_SEED repeats a run.
import assert from "node:assert/strict";
import { blobJob, uploadBlobs } from "../api/blobs.mjs";
import { Tandem, sleep } from "../api/harness.mjs";
import { randoms } from "./kill.mjs";

const n = Number(process.argv[2] ?? 10);
const seed = Number(process.env.TANDEM_SEED ?? Date.now() % 1e6);
const random = randoms(seed);
const tandem = new Tandem({ flags: { workers: 2, threads: 2 } });

const body = {
	name: "chaos", metric: "val/loss", goal: "min", strategy: "asha", max_jobs: 40, parallel: 2, seed: 1,
	base: blobJob({ train: { epochs: 30, validate_every: 5, checkpoint_every: 20 }, retries: 1000 }),
	space: { "/optimizer/lr": { log_uniform: [0.0001, 1] }, "/model/layers/0/out_features": { int_uniform: [4, 64] }, "/seed": { int_uniform: [0, 1000] } },
	asha: { min_steps: 20, eta: 3 },
};

async function kill() {
	const whom = ["worker", "daemon", "both"][random(3)];
	const pids = tandem.workers();
	if (whom !== "worker") await tandem.kill();
	if (whom !== "daemon") tandem.killWorkers(pids);
	if (whom !== "worker") await tandem.up();
	return whom;
}

const state = (id) => tandem.json(`/sweeps/${id}`);
async function finished(id) {
	for (;;) {
		const s = await tandem.json(`/sweeps/${id}?wait=30`);
		if (s.state !== "running") return s;
	}
}

async function run(kills) {
	const r = await tandem.post("/sweeps", body);
	assert.equal(r.status, 201, r.text);
	const killed = {};
	for (let i = 0; i < kills && (await state(r.json.id)).state === "running"; i++) {
		await sleep(100 + random(600));
		const whom = await kill();
		killed[whom] = (killed[whom] ?? 0) + 1;
	}
	const s = await finished(r.json.id);
	const weights = {};
	for (const j of s.jobs) if (j.stopped_at === null) weights[j.index] = (await tandem.fingerprint(j.id)).weights;
	assert.equal((await tandem.json(`/jobs?sweep=${s.id}&limit=1000`)).items.length, body.max_jobs, "no child twice");
	return { killed, best: s.best.index, children: s.jobs.map(({ index, params, value, rung, stopped_at }) => ({ index, params, value, rung, stopped_at })), weights, state: s.state };
}

try {
	await tandem.up();
	await uploadBlobs(tandem);
	const expected = await run(0);
	const got = await run(n);
	assert.equal(expected.children.length, body.max_jobs);
	assert.ok(expected.children.some((c) => c.stopped_at !== null) && Object.keys(expected.weights).length > 1);
	assert.deepEqual({ ...got, killed: 0 }, { ...expected, killed: 0 });
	console.log(`chaos: a sweep of ${body.max_jobs} jobs decided the same after ${JSON.stringify(got.killed)} (TANDEM_SEED=${seed})`);
} catch (e) {
	console.error(`TANDEM_SEED=${seed}`);
	throw e;
} finally {
	await tandem.close();
}
