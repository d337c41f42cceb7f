// What a replay says of the loss and of the updated weights: that they are the job's, where they differ, or that it cannot know.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { Tandem, endless, quick, sha256, start } from "./harness.mjs";
import { settled } from "./replays.mjs";

// SQL on the database of a daemon that runs; the rows.
const RUN = "import json, sqlite3, sys; d = sqlite3.connect(sys.argv[1], timeout=60); rows = d.execute(sys.argv[2], json.loads(sys.argv[3])).fetchall(); d.commit(); print(json.dumps(rows))";
const sql = (tandem, text, ...parameters) => JSON.parse(execFileSync("python3", ["-c", RUN, path.join(tandem.data, "tandem.db"), text, JSON.stringify(parameters)], { encoding: "utf8" }));

// The first layer has a rate of its own, which no series shows.
const spec = (every) => quick({ optimizer: { type: "adam", lr: 0.002, groups: [{ params: ["1.*"], lr: 0.001 }] }, train: { steps: 24, checkpoint_every: 11, keep: { last: 8 } }, log: { every } });

async function verdict(tandem, id, step, steps = 1) {
	const asked = await tandem.post(`/jobs/${id}/replay`, { step, steps });
	assert.equal(asked.status, 201, asked.text);
	const r = await settled(tandem, id, step);
	assert.equal(r.state, "succeeded", r.detail);
	assert.equal((await tandem.request("DELETE", `/jobs/${id}/replays/${step}`)).status, 204);
	return r.verdict;
}

// Where the verdict is no, and nothing of it lies between eager and graph.
function told(v) {
	assert.equal(v.identical, false, JSON.stringify(v));
	assert.ok(v.differences.length > 0 && v.differences.every((d) => d.between[0] === "recorded"), JSON.stringify(v));
	return v.differences.map((d) => `${d.what} ${d.name} ${d.step}`);
}

// EVERY: how often the job recorded points.  PROOFS: of a step, what tells of the weights after it.
for (const [every, proofs] of [[1, { 5: "point 6", 11: "checkpoint 11", 12: "point 13", 24: "checkpoint 24" }], [4, { 5: "point 8", 11: "checkpoint 11", 12: "point 16", 24: "checkpoint 24" }]])
	describe(`a replay of a job with points of every ${every} steps`, () => {
		const tandem = new Tandem(), next = every === 1 ? 13 : 16;
		let job, undo;
		before(async () => {
			await tandem.up();
			job = await tandem.finish(spec(every));
		});
		afterEach(() => {
			undo?.();
			undo = null;
		});
		after(() => tandem.close());

		function changeSpec(changes) {
			const [[was]] = sql(tandem, "SELECT json FROM documents WHERE job = ? AND kind = 'spec'", job.id);
			const set = (json) => sql(tandem, "UPDATE documents SET json = ? WHERE job = ? AND kind = 'spec'", json, job.id);
			set(JSON.stringify({ ...JSON.parse(was), ...changes }));
			undo = () => set(was);
		}

		function changePoint(series, step, change, back) {
			const set = (what) => sql(tandem, `UPDATE tail SET ${what} WHERE series = (SELECT key FROM series WHERE job = ? AND name = ?) AND position = ?`, job.id, series, (step - every) / every);
			set(change);
			undo = () => set(back);
		}

		function changeHash(kind, step, hash) {
			const [[was]] = sql(tandem, "SELECT sha256 FROM artifacts WHERE job = ? AND kind = ? AND step = ?", job.id, kind, step);
			const set = (to) => sql(tandem, "UPDATE artifacts SET sha256 = ? WHERE job = ? AND kind = ? AND step = ?", to, job.id, kind, step);
			set(hash);
			return () => set(was);
		}

		test("rests on what was recorded of the weights after the step", async () => {
			for (const [step, proof] of Object.entries(proofs).map(([n, p]) => [Number(n), p])) {
				const v = await verdict(tandem, job.id, step);
				assert.deepEqual([v.identical, v.differences, v.not_compared], [true, [], null], `step ${step}: ${JSON.stringify(v)}`);
				assert.deepEqual([v.weights.compared, `${v.weights.by} ${v.weights.step}`], [true, proof]);
				assert.ok(v.compared.until_step >= v.weights.step && v.compared.until_step < step + 2 * every, JSON.stringify(v));
			}
		});

		test("sees an update that was another one, though loss and gradients of the step are the same", async () => {
			changeSpec({ optimizer: { type: "adam", lr: 0.002, groups: [{ params: ["1.*"], lr: 0.0015 }] } }); // from step 12 on: it begins at the checkpoint of step 11
			const list = told(await verdict(tandem, job.id, 12));
			assert.ok(list.includes(`point train/loss ${next}`) && list.every((d) => d.endsWith(` ${next}`)), list.join(", "));
		});

		test("names the series of the learning rate when that was another one", async () => {
			changeSpec({ optimizer: { type: "adam", lr: 0.003, groups: [{ params: ["1.*"], lr: 0.001 }] } });
			assert.ok(told(await verdict(tandem, job.id, 12)).includes("point train/lr 12"));
		});

		test("fails where a step on the way there cannot be done as the job had done it", async () => {
			changeSpec({ optimizer: { type: "sgd", lr: 1e6 }, schedule: { type: "exponential", gamma: 10, unit: "step" } });
			assert.equal((await tandem.post(`/jobs/${job.id}/replay`, { step: 10 })).status, 201);
			const { state, detail } = await settled(tandem, job.id, 10);
			assert.equal(state, "failed");
			assert.match(detail, /^on the way to step 10, step [2-9] was not finite here, but the job had passed it/);
		});

		test("names a point that was recorded otherwise, by one bit", async () => {
			changePoint("train/loss", 20, "value_bits = value_bits + 1", "value_bits = value_bits - 1");
			const v = await verdict(tandem, job.id, 20);
			assert.deepEqual(told(v), ["point train/loss 20"]);
			const [recorded, replayed] = v.differences[0].values;
			assert.ok(recorded !== replayed && Math.abs(recorded - replayed) < 1e-15, `${recorded} ${replayed}`);
		});

		test("names a checkpoint that has another hash", async () => {
			undo = changeHash("last", 22, "0123456789abcdef".repeat(4));
			const v = await verdict(tandem, job.id, 22);
			assert.deepEqual(told(v), ["checkpoint last 22"]);
			assert.equal(v.differences[0].values[0], "0123456789abcdef".repeat(4));
		});

		test("sees that it began with another weight", async () => {
			const [[name]] = sql(tandem, "SELECT file FROM artifacts WHERE job = ? AND kind = 'last' AND step = 11", job.id);
			const file = path.join(tandem.data, "jobs", job.id, name), was = readFileSync(file), bytes = Buffer.from(was);
			const n = Number(bytes.readBigUInt64LE(0)), head = JSON.parse(bytes.toString("utf8", 8, 8 + n));
			const at = 8 + n + head["model.4.bias"].data_offsets[0];
			bytes.writeFloatLE(bytes.readFloatLE(at) + 0.001, at);
			writeFileSync(file, bytes);
			const back = changeHash("last", 11, sha256(bytes));
			undo = () => { back(); writeFileSync(file, was); };
			assert.ok(told(await verdict(tandem, job.id, 12)).includes("point train/loss 12"));
		});

		if (every > 1)
			test("names a point that it does not come by", async () => {
				changePoint("train/loss", 16, "step = step - 1", "step = step + 1");
				const v = await verdict(tandem, job.id, 12);
				assert.deepEqual(told(v), ["point train/loss 15"]);
				assert.deepEqual([typeof v.differences[0].values[0], v.differences[0].values[1]], ["number", null]);
			});
	});

test("a replay says that it cannot know of weights after which the job recorded nothing", async (t) => {
	const tandem = await start(t);
	const { data } = endless();
	const { id } = await tandem.submit(endless({ data: { ...data, limit: 50_000 }, train: { epochs: 10, checkpoint_every: 0 }, log: { every: 5 } }));
	await tandem.untilStep(id, 12);
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	const { step } = (await tandem.points(id, "train/loss")).at(-1);
	for (let i = 0; i < 2; i++) { // asked again, it looks again
		const asked = await tandem.post(`/jobs/${id}/replay`, { step });
		assert.equal(asked.status, 201, asked.text);
		const { state, verdict: v } = await settled(tandem, id, step);
		assert.deepEqual([state, v.identical, v.differences, v.weights], ["succeeded", null, [], { compared: false, by: null, step: null }], JSON.stringify(v));
		assert.match(v.not_compared, new RegExp(`^the weights after step ${step} could not be compared .* recorded nothing`));
		assert.ok(v.compared.recorded_points >= 3, "its loss could");
	}
	const v = await verdict(tandem, id, step - 5);
	assert.deepEqual([v.identical, v.weights], [true, { compared: true, by: "point", step }]);
});
