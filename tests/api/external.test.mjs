// Jobs whose numbers come from outside.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Tandem, problem } from "./harness.mjs";

const point = (step, value, name = "train/loss") => ({ name, step, value });

describe("an external job", () => {
	const tandem = new Tandem();
	const begin = (changes = {}) => tandem.submit({ kind: "external", name: "loop", project: "outside", args: { lr: 0.1 }, ...changes });
	const tell = (id, points, options) => tandem.post(`/jobs/${id}/metrics`, { points }, options);
	before(() => tandem.up());
	after(() => tandem.close());

	test("runs at once, takes points to the bit, and ends when it is told to", async () => {
		const job = await begin();
		assert.deepEqual([job.state, job.kind, job.spec.args.lr, job.resources.threads], ["running", "external", 0.1, 0]);
		const points = JSON.stringify([point(1, 0.1), point(1, 0.5, "val/accuracy"), point(2, "NaN"), point(3, "-Infinity"), point(7, 4711)]);
		const r = await tandem.post(`/jobs/${job.id}/metrics`, `{"points":${points.replace("4711", "-0.0")}}`); // JavaScript would say 0
		assert.deepEqual([r.status, r.json], [200, { accepted: 5 }]);
		assert.deepEqual((await tandem.points(job.id, "train/loss")).map((p) => p.value), ["0.1", "NaN", "-Infinity", "-0"]);
		assert.equal((await tandem.job(job.id)).progress.step, 7);
		const end = await tandem.post(`/jobs/${job.id}/finish`, { state: "succeeded", detail: "good enough" });
		assert.deepEqual([end.status, end.json.state, end.json.detail], [200, "succeeded", "good enough"]);
		assert.deepEqual(end.json.summary, { "train/loss": -0, "val/accuracy": 0.5 });
		assert.match(problem(assert, await tell(job.id, [point(9, 1)]), 409).detail, /succeeded/);
		problem(assert, await tandem.post(`/jobs/${job.id}/finish`, { state: "failed" }), 409);
	});

	test("can fail, with its own words", async () => {
		const { id } = await begin();
		await tandem.post(`/jobs/${id}/finish`, { state: "failed", detail: "diverged" });
		const job = await tandem.job(id);
		assert.deepEqual([job.state, job.error.detail], ["failed", "diverged"]);
	});

	test("refuses steps that do not grow, names the series, and keeps nothing of the request", async () => {
		const { id } = await begin();
		await tell(id, [point(5, 1)]);
		assert.match(problem(assert, await tell(id, [point(6, 1, "other"), point(5, 2)]), 409).detail, /train\/loss/);
		assert.match(problem(assert, await tell(id, [point(8, 1), point(7, 2)]), 409).detail, /train\/loss/);
		assert.deepEqual((await tandem.json(`/jobs/${id}/metrics`)).items.map((s) => [s.name, s.count]), [["train/loss", 1]]);
	});

	test("takes a point a line", async () => {
		const { id } = await begin();
		const lines = (body) => tandem.request("POST", `/jobs/${id}/metrics`, { body, headers: { "content-type": "application/x-ndjson" } });
		const r = await lines(`${JSON.stringify(point(1, 1))}\n\n${JSON.stringify({ ...point(2, 2), time: "2026-01-02T03:04:05.678Z" })}\n`);
		assert.deepEqual([r.status, r.json], [200, { accepted: 2 }]);
		assert.equal((await tandem.json(`/jobs/${id}/metrics?name=train/loss`)).time[1], Date.UTC(2026, 0, 2, 3, 4, 5, 678));
		assert.match(problem(assert, await lines(`${JSON.stringify(point(3, 1))}\n{"name":`), 400).detail, /line 2/);
		assert.match(problem(assert, await lines(`{"name":"a","step":-1,"value":1}`), 422).errors[0].detail, /step/);
	});

	test("says of each bad point where it is and what is wrong", async () => {
		const { id } = await begin();
		const bad = [["a", 1], { name: "", step: 1, value: 1 }, { name: "/a", step: 1, value: 1 }, { name: "a,b", step: 1, value: 1 },
			{ name: "a", step: 1.5, value: 1 }, { name: "a", step: 1, value: "1" }, { name: "a", step: 1 }, { ...point(1, 1), time: "now" },
			{ ...point(1, 1), stepp: 2 }, { name: "x".repeat(201), step: 1, value: 1 }];
		const p = problem(assert, await tell(id, [point(1, 1), ...bad]), 422);
		assert.deepEqual(p.errors.map((e) => e.pointer), bad.map((_, i) => `/points/${i + 1}`));
		assert.ok(p.errors.every((e) => e.line === 1 && e.column > 1));
		for (const body of ["", "[]", "{}", '{"points":{}}', '{"points":[]} x', '{"points":[],"more":1}']) {
			const r = await tandem.post(`/jobs/${id}/metrics`, body);
			assert.ok([400, 422].includes(r.status), `${body}: ${r.status} ${r.text}`);
		}
	});

	test("takes 10,000 points in a request, no more, and 256 series", async () => {
		const { id } = await begin();
		const many = Array.from({ length: 10_001 }, (_, i) => point(i, i / 3));
		assert.equal((await tell(id, many.slice(1))).json.accepted, 10_000);
		problem(assert, await tell(id, many.map((p) => ({ ...p, name: "b" }))), 413);
		assert.equal((await tandem.points(id, "train/loss")).length, 10_000);
		const names = (n) => Array.from({ length: n }, (_, i) => point(1, 1, `s/${i}`));
		problem(assert, await tell(id, names(256)), 413);
		assert.equal((await tell(id, names(255))).status, 200);
	});

	test("is told once for each Idempotency-Key", async () => {
		const { id } = await begin();
		const options = { headers: { "idempotency-key": "k1" } };
		assert.equal((await tell(id, [point(1, 1)], options)).json.accepted, 1);
		const again = await tell(id, [point(1, 1)], options);
		assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [200, "true"]);
		problem(assert, await tell(id, [point(2, 1)], options), 422);
	});

	test("goes on under a daemon that was killed, and is no burden when one stops", async () => {
		const { id } = await begin();
		await tell(id, [point(1, 1)]);
		await tandem.kill();
		await tandem.up();
		assert.equal((await tell(id, [point(2, 2)])).status, 200);
		assert.equal((await tandem.stop()).code, 0);
		await tandem.up();
		const job = await tandem.job(id);
		assert.deepEqual([job.state, job.history.length, job.summary["train/loss"]], ["running", 2, 2]);
	});

	test("is cancelled at once, cannot be paused, and times out when it is silent", async () => {
		const { id } = await begin();
		assert.match(problem(assert, await tandem.post(`/jobs/${id}/pause`), 409).detail, /external/);
		assert.equal((await tandem.act(id, "cancel")).state, "cancelled");
		const silent = await begin({ timeout_s: 1 });
		const end = await tandem.until(silent.id, "timed_out", 10_000);
		assert.match(end.detail, /heard/);
	});

	test("is streamed like any other", async () => {
		const { id } = await begin();
		const kinds = [];
		await tell(id, [point(1, 0.25)]);
		await tandem.post(`/jobs/${id}/finish`, { state: "succeeded" });
		for await (const e of tandem.events(`/jobs/${id}/events`)) {
			kinds.push(e.event);
			if (e.event === "metrics") assert.deepEqual([e.data.series, e.data.points[0][0], e.data.points[0][2]], ["train/loss", 1, 0.25]);
			if (e.event === "state" && e.data.to === "succeeded") break;
		}
		assert.deepEqual(kinds.filter((k) => k !== "job"), ["state", "state", "metrics", "progress", "state"]);
	});

	test("has a form of its own, and no fields of a job that the server trains", async () => {
		const p = problem(assert, await tandem.post("/jobs", { kind: "external", name: "x", model: { layers: [] }, projekt: "y" }), 422);
		assert.deepEqual(p.errors.map((e) => e.pointer).sort(), ["/model", "/projekt"]);
	});
});
