// What trained models say, and what happens to those who wait for it.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { blobJob, npy, uploadBlobs } from "./blobs.mjs";
import { Tandem, eventually, patience, problem } from "./harness.mjs";

describe("a prediction", () => {
	const tandem = new Tandem();
	const rows = [[0, 0, 0], [1, -1, 0], [2, -2, 0]];
	let job;
	const predict = (id, body, type, query = "") => tandem.request("POST", `/jobs/${id}/predict${query}`, { body, headers: { "content-type": type } });
	before(async () => {
		await tandem.up();
		await uploadBlobs(tandem);
		job = await tandem.finish(blobJob({ train: { epochs: 8, keep: { best: "val/loss" } } }));
	});
	after(() => tandem.close());

	test("is of each input, with classes and their probabilities, from JSON and from NPY alike", async () => {
		const r = await tandem.post(`/jobs/${job.id}/predict?top=2&outputs=1`, { inputs: rows });
		assert.equal(r.status, 200, r.text);
		assert.deepEqual([r.json.n, r.json.checkpoint, r.json.predictions.length, "id" in r.json], [3, "best", 3, false]);
		assert.deepEqual(r.json.predictions.map((p) => p.label), ["0", "1", "2"]);
		for (const p of r.json.predictions) assert.ok(p.top.length === 2 && p.top[0].label === p.label && p.probability === p.top[0].probability);
		assert.deepEqual(r.json.outputs.map((o) => o.length), [3, 3, 3]);
		const file = await predict(job.id, npy("<f4", [3, 3], rows.flat()), "application/x-www-form-urlencoded", "?top=2&outputs=1");
		assert.deepEqual(file.json.predictions, r.json.predictions);
	});

	test("is of the best weights or the last, as asked for", async () => {
		const last = await tandem.post(`/jobs/${job.id}/predict?checkpoint=last`, { inputs: rows });
		assert.equal(last.json.checkpoint, "last");
		problem(assert, await tandem.post(`/jobs/${job.id}/predict?checkpoint=first`, { inputs: rows }), 400);
		const plain = await tandem.finish(blobJob());
		assert.match(problem(assert, await tandem.post(`/jobs/${plain.id}/predict?checkpoint=best`, { inputs: rows }), 409).detail, /keep/);
		assert.equal((await tandem.post(`/jobs/${plain.id}/predict`, { inputs: rows })).json.checkpoint, "last");
	});

	test("is given to many who ask at once", async () => {
		const answers = await Promise.all(rows.concat(rows, rows).map((row) => tandem.post(`/jobs/${job.id}/predict`, { inputs: [row] })));
		assert.deepEqual(answers.map((r) => r.json.predictions?.[0].label), ["0", "1", "2", "0", "1", "2", "0", "1", "2"]);
	});

	test("is refused with words where there is nothing to predict with", async () => {
		const running = await tandem.submit(blobJob({ train: { epochs: 100_000 } }));
		assert.match(problem(assert, await tandem.post(`/jobs/${running.id}/predict`, { inputs: rows }), 409).detail, /weights/);
		await tandem.act(running.id, "cancel");
		const external = await tandem.submit({ kind: "external", name: "x" });
		problem(assert, await tandem.post(`/jobs/${external.id}/predict`, { inputs: rows }), 409);
		problem(assert, await tandem.post("/jobs/01M83AEJGW62J8W9EK9CE8Q9WQ/predict", { inputs: rows }), 404);
	});

	test("is refused for inputs that are none, each fault where it stands", async () => {
		const p = problem(assert, await tandem.post(`/jobs/${job.id}/predict`, { inputs: [[1, 2, 3], ["x"], [1, 2, 3], [1]] }), 422);
		assert.deepEqual(p.errors.map((e) => e.pointer.split("/").slice(0, 3).join("/")), ["/inputs/1", "/inputs/3"]);
		assert.ok(p.errors.every((e) => e.line === 1 && e.column > 10));
		problem(assert, await predict(job.id, "nonsense", "text/plain"), 415);
		problem(assert, await predict(job.id, "", "application/json"), 400);
		for (const body of ["{", "[]", '{"inputs":3}', "{}"]) assert.ok([400, 422].includes((await predict(job.id, body, "application/json")).status), body);
		const cut = npy("<f4", [3, 3], rows.flat()).subarray(0, 140);
		assert.ok(problem(assert, await predict(job.id, cut, "application/x-npy"), 422).errors[0].detail);
		for (const bytes of [Buffer.from("\x89PNG\r\n\x1a\n garbage", "latin1"), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 1])]) assert.ok((await predict(job.id, bytes, "image/png")).status === 422);
		problem(assert, await predict(job.id, Buffer.alloc((32 << 20) + 1, " "), "application/json"), 413);
		assert.equal((await tandem.post(`/jobs/${job.id}/predict`, { inputs: rows })).status, 200, "and the next is answered");
	});

	test("leaves no file behind", async () => {
		const folder = `${tandem.data}/tmp`;
		await eventually("the folder is empty", () => !readdirSync(folder).length);
	});
});

describe("a process that hangs", () => {
	const tandem = new Tandem();
	before(async () => {
		await tandem.up();
		await uploadBlobs(tandem);
	});
	after(() => tandem.close());
	const ofRole = (role, state) => eventually(`a ${role} is ${state}`, async () =>
		(await tandem.json("/workers")).items.find((w) => w.role === role && w.state === state)?.pid);
	// Stop the process of ROLE, and ASK what it is to answer; resolves once it has the question.
	async function hang(role, ask) {
		const pid = await ofRole(role, "idle");
		process.kill(pid, "SIGSTOP");
		const waiting = ask();
		waiting.catch(() => {}); // whoever awaits it sees why
		assert.equal(await ofRole(role, "busy"), pid);
		return { pid, waiting };
	}

	test("holds nobody but those who wait for it, and is replaced", async () => {
		let answered = 0;
		const ask = () => tandem.post("/jobs?dry_run=1", blobJob()).finally(() => answered++);
		const { waiting } = await hang("checker", () => Promise.all(Array.from({ length: 20 }, ask)));
		for (let i = 0; i < 20; i++)
			assert.equal((await tandem.get("/jobs", { ms: 1000 * patience })).status, 200);
		assert.equal(answered, 0, "all of them wait meanwhile");
		const codes = (await waiting).map((r) => r.status);
		assert.ok(codes.every((c) => [503, 504].includes(c)) && codes.includes(504), codes.join());
		for (;;) { // the next process is there in a moment
			const r = await tandem.post("/jobs?dry_run=1", blobJob());
			if (r.status === 200) break;
			assert.equal(r.status, 503, r.text);
		}
	});

	test("and one that dies is said to have died", async () => {
		const job = await tandem.finish(blobJob());
		const ask = () => tandem.post(`/jobs/${job.id}/predict`, { inputs: [[0, 0, 0]] });
		assert.equal((await ask()).status, 200);
		const { pid, waiting } = await hang("predictor", ask);
		process.kill(pid, "SIGKILL");
		assert.match(problem(assert, await waiting, 503).detail, /signal 9/);
		assert.equal((await ask()).status, 200);
	});

	test("and what a killed server had put aside for it is gone at the next start", async () => {
		const job = await tandem.finish(blobJob());
		const ask = () => tandem.post(`/jobs/${job.id}/predict`, { inputs: [[0, 0, 0]] });
		assert.equal((await ask()).status, 200);
		const { pid, waiting } = await hang("predictor", ask), folder = `${tandem.data}/tmp`;
		assert.equal(readdirSync(folder).length, 1);
		await tandem.kill();
		await assert.rejects(waiting);
		tandem.killWorkers([pid]);
		await tandem.up();
		assert.ok(!existsSync(folder));
		assert.equal((await ask()).status, 200);
	});

	test("and those who wait are answered when the server stops", async () => {
		const { waiting } = await hang("checker", () => tandem.post("/jobs", blobJob()));
		const [how, answer] = await Promise.all([tandem.stop(), waiting]);
		assert.deepEqual([how.code, answer.status], [0, 503]);
	});
});
