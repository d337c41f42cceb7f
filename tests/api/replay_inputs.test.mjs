// A replay needs what the job had: its data, the weights that it began with, the checkpoint that it was forked from.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, build, problem } from "./harness.mjs";
import { settled } from "./replays.mjs";

describe("a replay of a job whose inputs may have changed", () => {
	const tandem = new Tandem();
	const at = (name) => path.join(tandem.folder, name);
	// The worker, behind two switches: replayers wait while there is a file "hold", and OpenBLAS counts as for the CPU that "cpu" names.
	const program = `#!/bin/sh
while [ -e ${at("hold")} ] && [ "$1" = replayer ]; do sleep 0.02; done
if [ -e ${at("cpu")} ]; then export OPENBLAS_CORETYPE=$(cat ${at("cpu")}); fi
exec ${path.join(build, "tandem-worker")} "$@"
`;
	before(async () => {
		writeFileSync(at("worker"), program, { mode: 0o755 });
		tandem.options.flags = { "worker-path": at("worker") };
		await tandem.up();
		await uploadBlobs(tandem);
	});
	after(() => tandem.close());

	async function replayed(id, step) {
		const asked = await tandem.post(`/jobs/${id}/replay`, { step });
		assert.ok([200, 201].includes(asked.status), asked.text);
		return settled(tandem, id, step);
	}
	async function same(id, step) {
		const r = await replayed(id, step);
		assert.deepEqual([r.state, r.verdict?.identical], ["succeeded", true], `step ${step}: ${r.detail} ${JSON.stringify(r.verdict)}`);
		return r;
	}

	test("shows every step of a fork, from the checkpoint that it began with", async () => {
		const parent = await tandem.finish(blobJob({ train: { epochs: 1 } }));
		const { json: fork } = await tandem.post(`/jobs/${parent.id}/fork`, { set: { "/train/epochs": 4, "/train/checkpoint_every": 7 } });
		const { progress } = await tandem.until(fork.id, "succeeded");
		for (const step of [fork.parent.step + 1, fork.parent.step + 20, progress.step]) assert.equal((await same(fork.id, step)).from.step < step, true);
		assert.equal((await same(fork.id, fork.parent.step + 2)).from.step, fork.parent.step);
		const before = await replayed(fork.id, fork.parent.step);
		assert.match(before.detail, /is a fork, and no checkpoint before step/);
		const kept = (await tandem.json(`/jobs/${fork.id}/checkpoints`)).items.filter((c) => c.kind === "last").map((c) => c.step);
		assert.deepEqual(kept.sort((a, b) => a - b), [fork.parent.step, progress.step], "no other one is kept");
	});

	test("shows steps of a fork of a fork, and of a fork that was paused", async () => {
		const parent = await tandem.finish(blobJob({ train: { epochs: 1 } }));
		const { json: first } = await tandem.post(`/jobs/${parent.id}/fork`, { set: { "/train/epochs": 3 } });
		await tandem.until(first.id, "succeeded");
		const { json: second } = await tandem.post(`/jobs/${first.id}/fork`, { set: { "/train/epochs": 2000, "/optimizer/lr": 0.01 } });
		await tandem.untilStep(second.id, second.parent.step + 12);
		await tandem.act(second.id, "pause");
		await tandem.until(second.id, "paused");
		await same(second.id, second.parent.step + 3);
		await tandem.act(second.id, "resume");
		await tandem.untilStep(second.id, (await tandem.job(second.id)).progress.step + 20);
		await same(second.id, second.parent.step + 9);
		await tandem.act(second.id, "cancel");
		await tandem.until(second.id, "cancelled");
	});

	test("is refused when its first weights are others now, unless a checkpoint is between", async () => {
		const [a, b] = [await tandem.finish(blobJob({ train: { epochs: 1 } })), await tandem.finish(blobJob({ seed: 9, train: { epochs: 1 } }))];
		await tandem.request("PUT", "/models/start", { body: { job: a.id } });
		const { id } = await tandem.finish(blobJob({ init_from: { model: "start" }, train: { epochs: 2, checkpoint_every: 10, keep: { last: 9 } } }));
		await same(id, 3);
		await tandem.request("PUT", "/models/start", { body: { job: b.id } });
		const other = await replayed(id, 4);
		assert.equal(other.state, "failed");
		assert.match(other.detail, /began with other weights \(sha256 [0-9a-f]{12}\.\.\.\) than its "init_from" names now/);
		await same(id, 15);
		assert.equal((await tandem.request("DELETE", "/models/start")).status, 204);
		assert.match((await replayed(id, 5)).detail, /the model "start", with whose weights the job begins, is gone/);
		await tandem.request("PUT", "/models/start", { body: { job: a.id } });
		await same(id, 4);
	});

	test("begins with no other weights where those of its job were removed while it waited", async () => {
		const busy = await tandem.submit(blobJob({ train: { epochs: 1e6 } })), source = await tandem.finish(blobJob({ train: { epochs: 1 } }));
		const { id } = await tandem.submit(blobJob({ init_from: { job: source.id }, resources: { threads: 4 } }));
		assert.equal((await tandem.request("DELETE", `/jobs/${source.id}?purge=1`)).status, 204);
		await tandem.act(busy.id, "cancel");
		const { error } = await tandem.until(id, "failed");
		assert.deepEqual([error.pointer, error.detail.includes(`the job "${source.id}", with whose weights the job begins, is gone`)], ["/init_from", true], JSON.stringify(error));
	});

	test("is refused when the data set has other contents now, until it has the earlier ones again", async () => {
		const replace = async (n) => {
			assert.equal((await tandem.request("DELETE", "/datasets/blobs")).status, 204);
			await uploadBlobs(tandem, n);
		};
		const done = await tandem.finish(blobJob());
		await replace(630);
		const other = await replayed(done.id, 5);
		assert.equal(other.state, "failed");
		assert.match(other.detail, /data set "blobs" has other contents than when the job trained/);
		await replace(600);
		await same(done.id, 5);
	});

	test("is refused when the data set is gone, also when that happens while it waits", async (t) => {
		const { id } = await tandem.finish(blobJob());
		writeFileSync(at("hold"), "");
		t.after(() => rmSync(at("hold"), { force: true }));
		assert.equal((await tandem.post(`/jobs/${id}/replay`, { step: 5 })).status, 201);
		assert.equal((await tandem.request("DELETE", "/datasets/blobs")).status, 204);
		assert.match(problem(assert, await tandem.post(`/jobs/${id}/replay`, { step: 6 }), 409).detail, /needs the data set "blobs", which is not here now/);
		assert.equal((await tandem.get(`/jobs/${id}/replays/6`)).status, 404);
		assert.equal((await tandem.json(`/jobs/${id}/replays/5`)).state, "queued");
		rmSync(at("hold"));
		const waited = await settled(tandem, id, 5);
		assert.deepEqual([waited.state, waited.detail, waited.verdict], ["failed", 'the data set "blobs" is not here any more', null]);
		await uploadBlobs(tandem);
		await same(id, 5);
	});

	test("that waits is nothing that another makes go", async (t) => {
		const { id } = await tandem.finish(blobJob()), ask = (step) => tandem.post(`/jobs/${id}/replay`, { step });
		writeFileSync(at("hold"), "");
		t.after(() => rmSync(at("hold"), { force: true }));
		for (let step = 1; step <= 8; step++) assert.equal((await ask(step)).status, 201);
		assert.match(problem(assert, await ask(9), 409).detail, /^8 replays of job \w+ wait or run already/);
		assert.equal((await ask(8)).status, 200, "it is there");
		assert.equal((await tandem.request("DELETE", `/jobs/${id}/replays/3`)).status, 204);
		assert.equal((await ask(9)).status, 201);
		rmSync(at("hold"));
		for (const step of [1, 2, 4, 5, 6, 7, 8, 9]) assert.equal((await settled(tandem, id, step)).state, "succeeded");
		assert.equal((await ask(10)).status, 201);
		assert.equal((await tandem.get(`/jobs/${id}/replays/1`)).status, 404, "of those that are over the oldest goes");
	});

	test("is marked as not exact where the numerics are not those of the job", async () => {
		const { id, engine } = await tandem.finish(blobJob());
		assert.equal((await same(id, 5)).verdict.exact, true);
		writeFileSync(at("cpu"), /haswell/i.test(engine.fingerprint) ? "Sandybridge" : "Haswell");
		const { state, detail, verdict } = await replayed(id, 6);
		rmSync(at("cpu"));
		assert.deepEqual([state, verdict?.exact, verdict?.fingerprint.recorded], ["succeeded", false, engine.fingerprint], detail);
		assert.notEqual(verdict.fingerprint.here, engine.fingerprint);
		assert.deepEqual(verdict.differences.filter((d) => d.between[0] === "eager"), [], "the two modes agree on any machine");
	});

	test("says of every op in which phase it ran, averages of the weights included", async () => {
		const layers = [{ type: "linear", out_features: 8, name: "metrics_head" }, "relu", { type: "linear", out_features: 3, name: "optimizer-like" }];
		const { id } = await tandem.finish(blobJob({ model: { layers }, train: { epochs: 1, clip_norm: 1, ema: { decay: 0.9 } } }));
		const r = await same(id, 7), phases = {};
		for (const n of r.nodes) (phases[n.phase] ??= new Set()).add(n.layer);
		assert.deepEqual([...phases.forward].sort(), ["1", "loss", "metrics_head", "optimizer-like"]);
		assert.deepEqual([...phases.update].sort(), ["clipping", "ema", "optimizer"]);
		const ema = r.nodes.filter((n) => n.layer === "ema").flatMap((n) => n.outputs.map((v) => r.values[v]));
		assert.ok(ema.length && ema.every((v) => v.kind !== "activation"), JSON.stringify(ema.slice(0, 2)));
		const refused = await tandem.post("/jobs", blobJob({ model: { layers: [{ ...layers[0], name: "optimizer" }] } }));
		assert.match(refused.json.errors[0].detail, /a part of the training step/);
	});
});
