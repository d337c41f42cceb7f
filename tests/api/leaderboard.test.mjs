// Many jobs at a glance: columns, filters, groups, differences.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Tandem, problem } from "./harness.mjs";

describe("a leaderboard", () => {
	const tandem = new Tandem();
	const ids = {};
	// External jobs have whatever numbers a test needs.
	async function run(name, args, values, more = {}) {
		const { id } = await tandem.submit({ kind: "external", name, project: "p", args, ...more });
		await tandem.post(`/jobs/${id}/metrics`, { points: Object.entries(values).map(([series, value]) => ({ name: series, step: 1, value })) });
		ids[name] = id;
	}
	before(async () => {
		await tandem.up();
		await run("a", { lr: 0.1, deep: { "x/y": [1, 2] } }, { "test/accuracy": 0.8, "test/loss": 0.5 });
		await run("b", { lr: 0.1, deep: { "x/y": [1, 2] } }, { "test/accuracy": 0.9, "test/loss": 0.4 }, { tags: ["t"], notes: "other" });
		await run("c", { lr: 0.2, deep: { "x/y": [1, 3] } }, { "test/accuracy": 0.7 });
		await run("d, \"quoted\"", { lr: 0.2, deep: { "x/y": [1, 3] } }, { "test/accuracy": "NaN" });
		await run("e", { deep: { "x/y": [1, 2] }, lr: 0.1 }, { "test/loss": 1 });
		await run("else", {}, {}, { project: "q" });
	});
	after(() => tandem.close());

	test("has columns of series and of fields of specs, in JSON and CSV, in the order of a series", async () => {
		const where = "/jobs?project=p&sort=-test/accuracy&columns=/args/lr,test/accuracy,test/loss,/args/deep/x~1y,/no/such,state";
		const { items } = await tandem.json(where);
		assert.deepEqual(items.map((j) => j.name[0]), ["b", "a", "c", "e", "d"]);
		assert.deepEqual(items[0].columns, { "/args/lr": 0.1, "test/accuracy": 0.9, "test/loss": 0.4, "/args/deep/x~1y": [1, 2], "/no/such": null, state: "running" });
		assert.deepEqual([items[2].columns["test/loss"], items[4].columns["test/accuracy"]], [null, "NaN"]);
		const csv = await tandem.get(where, { headers: { accept: "text/csv" } });
		const lines = csv.text.trim().split("\n");
		assert.equal(lines[0], "id,name,project,owner,state,created_at,finished_at,/args/lr,test/accuracy,test/loss,/args/deep/x~1y,/no/such,state");
		assert.match(lines[1], /,b,p,local,running,.*,0\.1,0\.9,0\.4,"\[1,2\]",,running$/);
		assert.match(lines[5], /"d, ""quoted""",p,/);
	});

	test("is filtered by kind and by sweep", async () => {
		assert.equal((await tandem.json("/jobs?kind=external")).items.length, 6);
		assert.equal((await tandem.json("/jobs?kind=train")).items.length, 0);
		assert.equal((await tandem.json("/jobs?sweep=01M83AEJGW62J8W9EK9CE8Q9WQ")).items.length, 0);
		const next = (await tandem.get("/jobs?kind=external&limit=2")).headers.link;
		assert.match(next, /kind=external/);
	});

	test("groups jobs that differ in seed, name, tags and notes alone, whatever the order of their fields", async () => {
		const { items } = await tandem.json("/jobs/groups?project=p&metric=test/accuracy");
		assert.equal(items.length, 2);
		const [low, high] = [...items].sort((x, y) => y.spec_diff["/args/lr"] - x.spec_diff["/args/lr"]);
		assert.deepEqual(high.spec_diff, { "/args/lr": 0.1, "/args/deep/x~1y": [1, 2] });
		assert.deepEqual(high.jobs.sort(), [ids.a, ids.b, ids.e].sort());
		assert.deepEqual([high.n, high.min, high.max], [2, 0.8, 0.9]);
		assert.ok(Math.abs(high.mean - 0.85) < 1e-15 && Math.abs(high.std - 0.1 / Math.SQRT2) < 1e-15);
		assert.deepEqual([low.n, low.mean, low.std], [2, "NaN", "NaN"]);
		assert.equal((await tandem.json("/jobs/groups?tag=t&metric=test/loss")).items[0].std, null);
		assert.deepEqual((await tandem.json("/jobs/groups?tag=nobody&metric=test/loss")).items, []);
		assert.match(problem(assert, await tandem.get("/jobs/groups"), 400).detail, /metric/);
	});

	test("compares a few: only the places where their specs differ", async () => {
		const { items, differences } = await tandem.json(`/jobs/compare?jobs=${ids.a},${ids.b},${ids.c}`);
		assert.deepEqual(items.map((j) => j.name), ["a", "b", "c"]);
		const at = Object.fromEntries(differences.map((d) => [d.pointer, d.values]));
		assert.deepEqual(at["/args/lr"], [0.1, 0.1, 0.2]);
		assert.deepEqual(at["/args/deep/x~1y"], [[1, 2], [1, 2], [1, 3]]);
		assert.deepEqual(at["/tags"], [[], ["t"], []]);
		assert.ok(!("/project" in at));
	});

	test("compares specs of thousands of fields in no time worth speaking of", async () => {
		const wide = (k) => Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`field-${i}`, i % 500 === 0 ? k : i]));
		for (let k = 0; k < 5; k++) await run(`wide${k}`, wide(k), {}, { project: "wide" });
		const { differences } = await tandem.json(`/jobs/compare?jobs=${[0, 1, 2, 3, 4].map((k) => ids[`wide${k}`]).join()}`);
		assert.deepEqual(differences.filter((d) => d.pointer.startsWith("/args")).map((d) => d.pointer), [0, 500, 1000, 1500, 2000, 2500].map((i) => `/args/field-${i}`));
	});
});
