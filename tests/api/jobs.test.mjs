// The life of a job, as its owner sees it.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, endless, eventually, problem, quick, sha256 } from "./harness.mjs";

describe("a job", () => {
	const tandem = new Tandem();
	before(() => tandem.up());
	after(() => tandem.close());

	describe("that is posted and trains", () => {
		let posted, job;
		before(async () => {
			const r = await tandem.post("/jobs", quick({ notes: undefined }));
			assert.equal(r.status, 201, r.text);
			assert.equal(r.headers.location, `/api/v1/jobs/${r.json.id}`);
			posted = r.json;
			job = await tandem.until(posted.id, "succeeded");
		});

		test("is answered with its id and the addresses of all that will come of it", async () => {
			assert.match(posted.id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
			for (const link of ["self", "events", "log", "metrics"]) {
				assert.ok(posted.links[link], `links.${link}`);
				if (link !== "events") assert.equal((await tandem.get("/" + posted.links[link].replace(/^https?:\/\/[^/]+/, ""))).status, 200, posted.links[link]);
			}
		});

		test("went through its states in order, each with a time and a reason", () => {
			assert.deepEqual(job.history.map((h) => h.to).filter((s) => s !== "preparing"), ["queued", "starting", "running", "succeeded"]);
			for (const h of job.history) {
				assert.match(h.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
				assert.match(h.reason, /^[a-z_]+$/);
			}
		});

		test("has learned something, and says so in its summary", () => {
			assert.equal(job.progress.step, job.progress.n_steps);
			assert.equal(job.progress.n_steps, 2 * Math.ceil((4096 - 512) / 64));
			assert.ok(job.summary["test/accuracy"] > 0.6, `test/accuracy ${job.summary["test/accuracy"]}`);
		});

		test("shows its spec with every default filled in", () => {
			assert.deepEqual(job.spec.optimizer.betas, [0.9, 0.999]);
			assert.equal(job.spec.mode, "graph");
			assert.equal(job.spec.model.layers[0].type, "flatten");
			assert.equal(job.spec.model.layers[1].bias, true);
			assert.ok("priority" in job.spec && "retries" in job.spec);
		});

		test("has every point of its series, and none twice", async () => {
			const { items } = await tandem.json(`/jobs/${job.id}/metrics`);
			const loss = items.find((s) => s.name === "train/loss");
			assert.ok(loss.deterministic);
			assert.equal(loss.count, job.progress.n_steps);
			for (const name of ["val/loss", "val/accuracy", "test/loss", "test/accuracy", "train/lr"]) assert.ok(items.some((s) => s.name === name), name);
			assert.ok(items.some((s) => s.name === "train/samples_per_second" && !s.deterministic));
			const points = await tandem.points(job.id, "train/loss");
			assert.deepEqual(points.map((p) => p.step), Array.from({ length: job.progress.n_steps }, (_, i) => i + 1));
			assert.ok(Number(points.at(-1).value) < Number(points[0].value), "the loss falls");
		});

		test("answers a window of a series in columns that keep its extremes", async () => {
			const all = (await tandem.points(job.id, "train/loss")).map((p) => Number(p.value));
			const w = await tandem.json(`/jobs/${job.id}/metrics?name=train/loss&max_points=10`);
			assert.ok(w.step.length <= 10 && w.step.length > 1);
			for (const column of ["time", "value", "min", "max"]) assert.equal(w[column].length, w.step.length, column);
			assert.equal(Math.min(...w.min), Math.min(...all));
			assert.equal(Math.max(...w.max), Math.max(...all));
			const part = await tandem.json(`/jobs/${job.id}/metrics?name=train/loss&from=10&to=19`);
			assert.deepEqual(part.step, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
		});

		test("is compared with another in one answer", async () => {
			const both = await tandem.json(`/metrics?jobs=${job.id}&name=train/loss`);
			assert.match(JSON.stringify(both), new RegExp(job.id));
		});

		test("gives its log as text, and a part of it by Range", async () => {
			const log = await tandem.get(`/jobs/${job.id}/log`);
			assert.match(log.headers["content-type"], /^text\/plain/);
			assert.ok(log.text.length > 20);
			const part = await tandem.get(`/jobs/${job.id}/log`, { headers: { range: "bytes=5-14" } });
			assert.equal(part.status, 206);
			assert.equal(part.text, log.text.slice(5, 15));
			assert.equal(part.headers["content-range"], `bytes 5-14/${log.bytes.length}`);
		});

		test("has a report whose confusion matrix counts every test image", async () => {
			const report = await tandem.json(`/jobs/${job.id}/report`);
			const matrix = report.confusion ?? report.test?.confusion ?? report.splits?.test?.confusion;
			assert.ok(matrix, `a confusion matrix in ${Object.keys(report)}`);
			const rows = matrix.matrix ?? matrix;
			assert.equal(rows.flat().reduce((a, b) => a + b), 10_000);
			const right = rows.reduce((sum, row, i) => sum + row[i], 0);
			assert.ok(Math.abs(right / 10_000 - job.summary["test/accuracy"]) < 1e-6, "its diagonal is the test accuracy");
		});

		test("gives its weights as safetensors with the sha256 that it announced", async () => {
			const { items } = await tandem.json(`/jobs/${job.id}/artifacts`);
			const weights = items.find((a) => a.name.endsWith(".safetensors"));
			const file = await tandem.get(`/jobs/${job.id}/artifacts/${weights.name}`);
			assert.equal(file.status, 200);
			assert.equal(file.bytes.length, weights.bytes);
			assert.equal(sha256(file.bytes), weights.sha256);
			assert.equal(file.headers.etag, `"${weights.sha256}"`);
			assert.match(file.headers["content-disposition"], /^attachment; filename="?[\w.-]+\.safetensors/);
			const head = JSON.parse(file.bytes.subarray(8, 8 + Number(file.bytes.readBigUInt64LE())).toString());
			const shapes = Object.fromEntries(Object.entries(head).filter(([name]) => name !== "__metadata__").map(([name, v]) => [name, v.shape]));
			assert.deepEqual(shapes, { "1.weight": [32, 784], "1.bias": [32], "4.weight": [10, 32], "4.bias": [10] });
			const again = await tandem.get(`/jobs/${job.id}/artifacts/${weights.name}`, { headers: { "if-none-match": file.headers.etag } });
			assert.equal(again.status, 304);
			const part = await tandem.get(`/jobs/${job.id}/artifacts/${weights.name}`, { headers: { range: "bytes=-16" } });
			assert.equal(part.status, 206);
			assert.deepEqual(part.bytes, file.bytes.subarray(-16));
			const head_only = await tandem.request("HEAD", `/jobs/${job.id}/artifacts/${weights.name}`);
			assert.equal(head_only.status, 200);
			assert.equal(head_only.headers["content-length"], String(weights.bytes));
			assert.equal(head_only.bytes.length, 0);
		});

		test("keeps a last checkpoint, with its step and sha256", async () => {
			const { items } = await tandem.json(`/jobs/${job.id}/checkpoints`);
			const last = items.find((c) => c.kind === "last");
			assert.ok(last.step > 0 && last.step <= job.progress.n_steps);
			assert.match(last.sha256, /^[0-9a-f]{64}$/);
		});

		test("has a graph of what it computed", async () => {
			const graph = await tandem.json(`/jobs/${job.id}/graph`);
			assert.ok(graph.nodes.length > 5);
			assert.match(JSON.stringify(graph), /matmul|linear/);
		});

		test("does not change any more: no verb moves it, and the refusal names its state", async () => {
			for (const verb of ["cancel", "pause", "resume"]) assert.match(problem(assert, await tandem.post(`/jobs/${job.id}/${verb}`), 409).detail, /succeeded/);
		});

		test("is not sent again to one who has it (ETag)", async () => {
			const first = await tandem.get(`/jobs/${job.id}`);
			assert.ok(first.headers.etag);
			assert.equal((await tandem.get(`/jobs/${job.id}`, { headers: { "if-none-match": first.headers.etag } })).status, 304);
		});

		test("can be renamed, tagged, deleted and is then gone from the list", async () => {
			const r = await tandem.request("PATCH", `/jobs/${job.id}`, { body: { name: "kept", tags: ["a", "b"], notes: "line\nline" } });
			assert.equal(r.status, 200, r.text);
			assert.deepEqual([r.json.name, r.json.tags, r.json.notes], ["kept", ["a", "b"], "line\nline"]);
			assert.equal((await tandem.json("/jobs?tag=b")).items.length, 1);
			assert.ok([200, 204].includes((await tandem.request("DELETE", `/jobs/${job.id}`)).status));
			assert.equal((await tandem.json("/jobs")).items.filter((j) => j.id === job.id).length, 0);
		});
	});

	test("that is only checked answers shapes, parameters and memory, and leaves nothing", async () => {
		const count = (await tandem.json("/jobs?limit=1000")).items.length;
		const r = await tandem.post("/jobs?dry_run=1", quick());
		assert.equal(r.status, 200, r.text);
		assert.equal(r.json.parameters, 784 * 32 + 32 + 32 * 10 + 10);
		assert.ok(r.json.flops > 0 && r.json.bytes > 0);
		assert.deepEqual(r.json.layers.at(-1).output?.slice(1) ?? r.json.layers.at(-1).shape?.slice(1), [10]);
		assert.equal((await tandem.json("/jobs?limit=1000")).items.length, count);
	});

	test("that is posted as curl -d would is read as JSON", async () => {
		const r = await tandem.post("/jobs?dry_run=1", quick(), { headers: { "content-type": "application/x-www-form-urlencoded" } });
		assert.equal(r.status, 200, r.text);
	});

	test("that is posted twice with one Idempotency-Key is one job", async () => {
		const headers = { "idempotency-key": "key-1" };
		const [a, b] = [await tandem.post("/jobs", quick(), { headers }), await tandem.post("/jobs", quick(), { headers })];
		assert.equal(a.status, 201);
		assert.equal(b.status, 201);
		assert.equal(a.json.id, b.json.id);
		problem(assert, await tandem.post("/jobs", quick({ seed: 8 }), { headers }), 422);
		const many = await Promise.all(Array.from({ length: 8 }, () => tandem.post("/jobs", quick(), { headers: { "idempotency-key": "key-2" } })));
		const ids = new Set(many.filter((r) => r.status === 201).map((r) => r.json.id));
		assert.equal(ids.size, 1, "eight at once make one job");
		for (const r of many) assert.ok([201, 409].includes(r.status), r.text);
		await tandem.until(a.json.id, "succeeded");
		await tandem.until([...ids][0], "succeeded");
		const retry = (id) => tandem.request("POST", `/jobs/${id}/retry`, { headers: { "idempotency-key": "key-3" } });
		assert.equal((await retry(a.json.id)).status, 201);
		problem(assert, await retry([...ids][0]), 422); // no body either, but another job
	});

	test("that runs is paused, goes on where it was, and is cancelled", async () => {
		const { id } = await tandem.submit(endless());
		await tandem.untilStep(id, 3);
		await tandem.act(id, "pause");
		const paused = await tandem.until(id, "paused");
		const { items } = await tandem.json(`/jobs/${id}/checkpoints`);
		const step = items.find((c) => c.kind === "last").step;
		assert.ok(step >= 3, "a pause leaves a checkpoint");
		assert.equal(paused.progress.step, step);
		await tandem.act(id, "resume");
		await tandem.untilStep(id, step + 3);
		assert.match(problem(assert, await tandem.get(`/jobs/${id}/report`), 404).detail, /is running .* appears when the job has ended/);
		assert.match(problem(assert, await tandem.get(`/jobs/${id}/artifacts/model.safetensors`), 404).detail, /is running .* appears when it succeeds/);
		await tandem.act(id, "cancel");
		const job = await tandem.until(id, "cancelled");
		for (const what of ["report", "artifacts/model.safetensors"])
			assert.match(problem(assert, await tandem.get(`/jobs/${id}/${what}`), 404).detail, /was cancelled and has no/);
		assert.match(tandem.errors, new RegExp(`attempt over job=${id} attempt=1 reason=paused step=\\d+`));
		assert.match(tandem.errors, new RegExp(`attempt over job=${id} attempt=2 reason=cancelled step=\\d+`));
		const points = await tandem.points(id, "train/loss");
		assert.deepEqual(points.map((p) => p.step), points.map((_, i) => i + 1), "no gap and no double where it paused");
		assert.deepEqual(job.history.map((h) => h.to).filter((s) => s !== "preparing"),
			["queued", "starting", "running", "pausing", "paused", "queued", "starting", "running", "cancelling", "cancelled"]);
	});

	test("that was cancelled can be tried again, and that is another job", async () => {
		const { id } = await tandem.submit(endless());
		await tandem.act(id, "cancel");
		await tandem.until(id, "cancelled");
		const r = await tandem.post(`/jobs/${id}/retry`);
		assert.ok([200, 201].includes(r.status), r.text);
		assert.notEqual(r.json.id, id);
		await tandem.act(r.json.id, "cancel");
		await tandem.until(r.json.id, "cancelled");
	});

	test("that takes longer than it may is stopped as timed out", async () => {
		let job;
		for (const timeout_s of [1, 5, 30]) { // something is done in it, unless the machine has much else to do
			job = await tandem.until((await tandem.submit(endless({ timeout_s }))).id, "timed_out");
			if (job.progress.step > 0) break;
		}
		assert.ok(job.progress.step > 0);
	});

	test("that asks for more than the machine has is refused, not clamped", async () => {
		const p = problem(assert, await tandem.post("/jobs", quick({ resources: { threads: 64 } })), 422);
		assert.match(p.errors[0].pointer, /^\/resources\/threads/);
		assert.match(p.errors[0].detail, /64/);
	});

	test("waits for its turn when the threads are taken, and says what it waits for", async () => {
		const big = await tandem.submit(endless({ resources: { threads: 4 } }));
		await tandem.until(big.id, "running");
		const small = await tandem.submit(quick());
		const job = await tandem.job(small.id);
		assert.equal(job.state, "queued");
		for (let i = 0; i < 50 && (await tandem.job(small.id)).reason === "submitted"; i++) await new Promise((r) => setTimeout(r, 20));
		await tandem.act(big.id, "cancel");
		await tandem.until(small.id, "succeeded");
		await tandem.until(big.id, "cancelled");
	});
});

describe("the list of jobs", () => {
	const tandem = new Tandem({ flags: { workers: 1 } });
	const ids = [];
	before(async () => {
		await tandem.up();
		for (let i = 0; i < 7; i++)
			ids.push((await tandem.submit(endless({ name: `run-${i}`, project: i % 2 ? "odd" : "even", priority: -i, tags: [`t${i}`], optimizer: { type: "sgd", lr: (i + 1) / 100 } }))).id);
		const queued = async () => (await tandem.json("/jobs?state=queued")).items.length;
		await eventually("all but one wait for a worker, their data are there", async () => (await queued()) === 6);
	});
	after(async () => {
		for (const id of ids) await tandem.act(id, "cancel");
		await tandem.close();
	});

	test("is newest first, in pages joined by a cursor", async () => {
		const seen = [];
		for (let where = "/jobs?limit=3", pages = 0; where; pages++) {
			assert.ok(pages < 4);
			const r = await tandem.get(where);
			const { items, has_more, next } = r.json;
			assert.ok(items.length <= 3);
			seen.push(...items.map((j) => j.id));
			if (has_more) assert.match(r.headers.link, /rel="?next"?/);
			where = has_more ? `/jobs?limit=3&after=${encodeURIComponent(next)}` : null;
		}
		assert.deepEqual(seen, [...ids].reverse());
	});

	test("can be narrowed by project, tag, state and text", async () => {
		const names = async (query) => (await tandem.json(`/jobs?${query}`)).items.map((j) => j.name).sort();
		assert.deepEqual(await names("project=odd"), ["run-1", "run-3", "run-5"]);
		assert.deepEqual(await names("tag=t4"), ["run-4"]);
		assert.deepEqual(await names("q=run-6"), ["run-6"]);
		assert.ok((await names("state=queued")).length >= 5);
		assert.deepEqual(await names("state=failed"), []);
	});

	test("is sorted by a field of the specs, either way", async () => {
		const lrs = async (sort) => (await tandem.json(`/jobs?sort=${sort}`)).items.map((j) => j.name);
		assert.deepEqual(await lrs("/optimizer/lr"), [0, 1, 2, 3, 4, 5, 6].map((i) => `run-${i}`));
		assert.deepEqual(await lrs("-/optimizer/lr"), [6, 5, 4, 3, 2, 1, 0].map((i) => `run-${i}`));
	});

	test("comes as CSV with the columns asked for", async () => {
		const r = await tandem.get("/jobs?columns=/optimizer/lr,test/accuracy&sort=/optimizer/lr", { headers: { accept: "text/csv" } });
		assert.match(r.headers["content-type"], /^text\/csv/);
		const lines = r.text.trim().split(/\r?\n/);
		assert.equal(lines.length, 8);
		assert.match(lines[0], /\/optimizer\/lr/);
		assert.match(lines[1], /0\.01/);
	});

	test("compares two jobs by the fields in which they differ", async () => {
		const diff = await tandem.json(`/jobs/compare?jobs=${ids[0]},${ids[1]}`);
		const text = JSON.stringify(diff);
		assert.match(text, /\/optimizer\/lr/);
		assert.doesNotMatch(text, /\/data\/batch_size/);
	});
});
