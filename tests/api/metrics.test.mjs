// Numbers that are none: a job that diverges is told of, stored, exported and never smoothed over.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, endless, quick, start } from "./harness.mjs";

describe("a job that diverges", () => {
	const tandem = new Tandem();
	let job;
	before(async () => {
		await tandem.up();
		const { id } = await tandem.submit(quick({ optimizer: { type: "sgd", lr: 1e6 }, train: { epochs: 1 } }));
		job = await tandem.until(id, ["succeeded", "failed"]);
	});
	after(() => tandem.close());

	test("has its points that are no numbers in JSON as strings", async () => {
		const w = await tandem.json(`/jobs/${job.id}/metrics?name=train/loss`);
		const odd = w.value.filter((v) => typeof v === "string");
		assert.ok(odd.length > 0, `among ${w.value.slice(0, 8)}`);
		for (const v of odd) assert.match(v, /^(NaN|-?Infinity)$/);
	});

	test("has them in CSV", async () => {
		const values = (await tandem.points(job.id, "train/loss")).map((p) => p.value);
		assert.ok(values.some((v) => /^(NaN|-?Infinity|-?inf)$/i.test(v)));
		assert.ok(values.includes("NaN") || values.some((v) => /inf/i.test(v)));
	});

	test("shows them in the narrowest window", async () => {
		const w = await tandem.json(`/jobs/${job.id}/metrics?name=train/loss&max_points=2`);
		assert.match(JSON.stringify(w), /NaN|Infinity/);
	});

	test("says so: in its log, its reason or its error", async () => {
		const log = (await tandem.get(`/jobs/${job.id}/log`)).text;
		assert.match(log + JSON.stringify(job), /NaN|not finite|non-finite|infinite|diverge/i);
	});
});

test("Prometheus reads what the daemon does", async (t) => {
	const tandem = await start(t);
	await tandem.finish(quick({ train: { epochs: 1 } }));
	const text = (await tandem.get("//metrics")).text;
	assert.match(text, /^# TYPE tandem_\w+ (counter|gauge|histogram)$/m);
	assert.match(text, /^tandem_jobs\{state="succeeded"\} 1$/m);
	for (const line of text.trim().split("\n")) assert.match(line, /^(# .*|[a-z_]+(\{[^}]*\})? \S+)$/);
});

test("the system, its workers and its readiness are told", async (t) => {
	const tandem = await start(t);
	const system = await tandem.json("/system");
	assert.ok(JSON.stringify(system).includes("threads"));
	const { id } = await tandem.submit(endless());
	await tandem.until(id, "running");
	assert.ok((await tandem.json("/workers")).items.some((w) => w.job === id));
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	assert.equal((await tandem.get("//readyz")).status, 200);
});

test("the ready examples are jobs that pass the check, and the schema is one", async (t) => {
	const tandem = await start(t, { flags: { threads: 16, workers: 2 } });
	const { items } = await tandem.json("/examples");
	assert.ok(items.length >= 2);
	for (const { name, kind } of items) {
		const text = (await tandem.get(`/examples/${name}`)).text;
		if (kind === "sweep" || !/"(fashion-mnist|cifar10)"/.test(text)) continue; // those need more than a check: examples.test.mjs
		const r = await tandem.post("/jobs?dry_run=1", text);
		assert.equal(r.status, 200, `${name}: ${r.text}`);
	}
	const schema = await tandem.json("/schema/job.json");
	assert.match(schema.$schema, /2020-12/);
	assert.deepEqual([...schema.required].sort(), ["data", "loss", "model"]);
});
