// make chaos N=50: the demo's job, once undisturbed and once under N random kill -9 of its worker, of the daemon, or of both.
// The same hashes and the same deterministic series, without gap or double, or it fails.  TANDEM_SEED repeats a run.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Tandem, sleep } from "../api/harness.mjs";

// A small congruential generator: a failure can be repeated from its seed.
export function randoms(seed) {
	let state = seed >>> 0;
	return (n) => (((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % n); // its low bits hardly vary
}

// Kill N times at random moments, at most EVERY_MS apart, while job ID lives.  Returns how often whom.
export async function torment(tandem, id, n, every_ms, random) {
	const killed = { worker: 0, daemon: 0, both: 0 };
	for (let i = 0; i < n; i++) {
		await sleep(50 + random(every_ms));
		if ((await tandem.job(id)).state === "succeeded") break;
		const whom = ["worker", "daemon", "both"][random(3)];
		const workers = tandem.workers();
		if (whom !== "worker") await tandem.kill();
		if (whom !== "daemon") tandem.killWorkers(workers);
		if (whom !== "worker") await tandem.up();
		killed[whom]++;
	}
	return killed;
}

// The steps of every deterministic series grow by what they should: none twice, none missing beside REFERENCE.
export function assert_same(got, reference) {
	for (const [name, points] of Object.entries(got.series)) {
		const steps = points.map((p) => p.step);
		assert.deepEqual(steps, [...new Set(steps)].sort((a, b) => a - b), `${name}: a step twice or out of order`);
		assert.deepEqual(steps, reference.series[name]?.map((p) => p.step), `${name}: a gap`);
	}
	assert.deepEqual(got, reference);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const n = Number(process.argv[2] ?? 50), seed = Number(process.env.TANDEM_SEED ?? Date.now() >>> 0);
	const tandem = new Tandem({ flags: { "grace-seconds": 3 } });
	await tandem.up();
	try {
		const job = { ...(await tandem.json("/examples/fashion-cnn")), retries: 100 };
		job.train = { ...job.train, checkpoint_every: 50 };
		console.log(`TANDEM_SEED=${seed}; undisturbed first`);
		const began = Date.now();
		const reference = await tandem.fingerprint((await tandem.until((await tandem.submit(job)).id, "succeeded", 3600e3)).id);
		const took = Date.now() - began;
		const { id } = await tandem.submit(job);
		const killed = await torment(tandem, id, n, Math.max(500, (1.5 * took) / n), randoms(seed));
		const end = await tandem.until(id, "succeeded", 3600e3);
		assert_same(await tandem.fingerprint(id), reference);
		console.log(`killed: ${killed.worker} x worker, ${killed.daemon} x daemon, ${killed.both} x both; ${end.attempt} attempts`);
		console.log(`${Object.keys(reference.series).length} series and the weights are the same to the last bit: ${Object.values(reference.weights)[0]}`);
	} finally {
		await tandem.close();
	}
}
