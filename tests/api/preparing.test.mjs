// Preparing: formats that are corrected or do not fit, preparers that die, daemons that are killed meanwhile.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, truncateSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { SOURCE, skip, CSV, serve, daemon, mirrored, settled, register, put, parts, onTable } from "./datasets.mjs";
import { eventually, patience, problem, quick, readProc, signal, sleep, start } from "./harness.mjs";

test("a corrected format prepares the dataset again, but not under a job that uses it", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await put(tandem, "houses", "a.csv", CSV)).status, 201);
	await tandem.post("/datasets/houses/prepare", {});
	await settled(tandem, "houses");
	const format = { type: "table", columns: { size: "category" } };
	const { id } = await tandem.submit(onTable("houses", { train: { epochs: 1_000_000 } }));
	await tandem.until(id, "running");
	assert.match(problem(assert, await tandem.post("/datasets/houses/prepare", { format }), 409).detail, new RegExp(id));
	problem(assert, await tandem.request("DELETE", "/datasets/houses"), 409);
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	assert.equal((await tandem.post("/datasets/houses/prepare", { format })).json.state, "preparing");
	const d = await settled(tandem, "houses");
	assert.equal(d.state, "ready", JSON.stringify(d.error));
	assert.deepEqual(d.format, format);
	assert.equal(d.info.columns[0].type, "category");
	await eventually("the old pack is gone", () => parts(tandem, "houses").length === 1);
	problem(assert, await tandem.post("/datasets/houses/prepare", { format: { type: "nonsense" } }), 422);
});

test("files that are not what the format says fail with a reason, and the next format is tried", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await put(tandem, "odd", "a.csv", CSV)).status, 201);
	await tandem.post("/datasets/odd/prepare", { format: { type: "table", columns: { nowhere: "number" } } });
	let d = await settled(tandem, "odd");
	assert.equal(d.state, "failed");
	assert.match(d.error.detail, /nowhere/);
	assert.match(d.error.pointer, /^\/format\/columns/);
	await tandem.post("/datasets/odd/prepare", { format: { type: "idx" } });
	d = await settled(tandem, "odd");
	assert.equal(d.state, "failed");
	await tandem.post("/datasets/odd/prepare", { format: { type: "auto" } });
	assert.equal((await settled(tandem, "odd")).state, "ready");
	assert.ok(!readdirSync(path.join(tandem.data, "datasets/odd")).some((name) => name.endsWith(".part")));
});

test("a daemon that is killed while a dataset is prepared prepares it again", { skip }, async (t) => {
	const { url } = await serve(t, {});
	const tandem = await mirrored(t, url);
	const folder = path.join(tandem.data, "datasets/fashion-mnist");
	mkdirSync(folder, { recursive: true });
	for (const name of readdirSync(SOURCE)) copyFileSync(path.join(SOURCE, name), path.join(folder, name));
	const { id } = await tandem.submit(quick({ train: { epochs: 1 } }));
	await settled(tandem, "fashion-mnist", ["preparing", "ready"]);
	await tandem.kill();
	await tandem.up();
	await tandem.until(id, "succeeded");
	assert.equal(parts(tandem, "fashion-mnist").length, 1);
});

const preparers = async (tandem) => (await tandem.json("/workers")).items.filter((w) => w.role === "preparer");

// A dataset that is being prepared, and the process that does it, which stands still in the middle.
async function underPreparation(tandem, name) {
	const rows = Buffer.from(`a,b,c\n${"1,2.5,x\n3,4.5,y\n".repeat(1_500_000)}`);
	const state = async () => (await tandem.json(`/datasets/${name}`)).state, NOBODY = "nobody";
	assert.equal((await put(tandem, name, "a.csv", rows)).status, 201);
	for (let i = 0; i < 10; i++) { // who comes too late finds it prepared
		assert.equal((await tandem.post(`/datasets/${name}/prepare`, {})).status, 200);
		const pid = await eventually("somebody prepares it", async () => {
			const busy = (await preparers(tandem)).find((w) => w.state === "busy");
			return busy?.pid ?? ((await state()) === "ready" && NOBODY);
		});
		if (pid !== NOBODY && signal(pid, "SIGSTOP") && (await state()) === "preparing") return pid;
		if (pid !== NOBODY) signal(pid, "SIGCONT");
		assert.equal((await settled(tandem, name)).state, "ready");
	}
	throw new Error("ten preparations were over before anybody looked");
}

test("a preparer that dies fails its dataset, which is prepared again when somebody asks", async (t) => {
	const tandem = await daemon(t);
	process.kill(await underPreparation(tandem, "big"), "SIGKILL");
	const d = await settled(tandem, "big");
	assert.equal(d.state, "failed");
	assert.match(d.error.detail, /killed by signal 9/);
	await eventually("its pack goes", () => parts(tandem, "big").length === 0);
	await tandem.post("/datasets/big/prepare", {});
	assert.equal((await settled(tandem, "big")).samples.train, 3_000_000);
});

test("a preparation is cancelled at once, by cancel, by another format and by delete, and its process is gone", async (t) => {
	const tandem = await daemon(t);
	const gone = (pid) => eventually(`${pid} is gone`, () => !existsSync(`/proc/${pid}`));
	const pid = await underPreparation(tandem, "big");
	assert.equal((await tandem.post("/datasets/big/cancel")).json.state, "cancelled");
	await gone(pid);
	await eventually("its pack goes", () => parts(tandem, "big").length === 0);

	const second = await underPreparation(tandem, "other");
	await tandem.post("/datasets/other/prepare", { format: { type: "table", columns: { a: "category" } } });
	await gone(second);
	const d = await settled(tandem, "other");
	assert.deepEqual([d.state, d.info.columns[0].type], ["ready", "category"]);
	await eventually("the other pack goes", () => parts(tandem, "other").length === 1);

	const third = await underPreparation(tandem, "last");
	assert.equal((await tandem.request("DELETE", "/datasets/last")).status, 204);
	await gone(third);
	assert.ok(!existsSync(path.join(tandem.data, "datasets/last")));
});

test("more datasets than preparers are prepared one after the other, and a restart in between loses none", async (t) => {
	const tandem = await daemon(t);
	const names = ["a", "b", "c", "d", "e"];
	const rows = Buffer.from(`a,b,c\n${"1,2.5,x\n3,4.5,y\n".repeat(100_000)}`);
	for (const name of names) {
		assert.equal((await put(tandem, name, "a.csv", rows)).status, 201);
		assert.equal((await tandem.post(`/datasets/${name}/prepare`, {})).status, 200);
	}
	assert.ok((await tandem.json("/workers")).items.filter((w) => w.role === "preparer").length <= 2);
	await tandem.restart();
	for (const name of names) {
		assert.equal((await settled(tandem, name)).state, "ready");
		assert.equal(parts(tandem, name).length, 1);
	}
	await eventually("preparers leave when nothing is to be prepared", async () => !(await preparers(tandem)).length);
});

test("?wait answers when the dataset is at rest, and a deleted one leaves nothing behind", async (t) => {
	const { url } = await serve(t, { "a.csv": CSV });
	const tandem = await daemon(t);
	await register(tandem, { name: "w", url: `${url}/a.csv` });
	assert.equal((await tandem.json("/datasets/w?wait=30")).state, "ready");
	assert.equal((await tandem.request("DELETE", "/datasets/w")).status, 204);
	problem(assert, await tandem.get("/datasets/w"), 404);
	problem(assert, await tandem.request("DELETE", "/datasets/w"), 404);
	assert.deepEqual(readdirSync(path.join(tandem.data, "datasets")), []);
	assert.equal((await register(tandem, { name: "w", url: `${url}/a.csv` })).state, "fetching", "the name is free");
	assert.equal((await settled(tandem, "w")).state, "ready");
});

test("another's dataset is changed by its owner and by an admin only", async (t) => {
	const tandem = await start(t, { flags: { listen: "0.0.0.0:0" } });
	const admin = readFileSync(`${tandem.data}/admin-token`, "utf8").trim();
	const token = async (owner) => (await tandem.post("/tokens", { owner, scope: "run" }, { token: admin })).json.token;
	const [ann, bob] = [await token("ann"), await token("bob")];
	assert.equal((await put(tandem, "hers", "a.csv", CSV, { token: ann })).status, 201);
	for (const [method, where, options] of [["DELETE", "/datasets/hers"], ["POST", "/datasets/hers/cancel"], ["POST", "/datasets/hers/prepare", { body: {} }],
		["POST", "/datasets", { body: { name: "hers" } }]])
		problem(assert, await tandem.request(method, where, { ...options, token: bob }), 403);
	problem(assert, await put(tandem, "hers", "b.csv", CSV, { token: bob }), 403);
	assert.equal((await tandem.json("/datasets/hers", { token: bob })).owner, "ann");
	assert.equal((await tandem.request("DELETE", "/datasets/hers", { token: admin })).status, 204);
});

test("preparers that are cancelled before they have begun are no failed starts, which would hold up jobs", async (t) => {
	const tandem = await daemon(t);
	for (let i = 0; i < 8; i++) {
		assert.equal((await put(tandem, `d${i}`, "a.csv", CSV)).status, 201);
		await tandem.post(`/datasets/d${i}/prepare`, {});
		await tandem.post(`/datasets/d${i}/cancel`, {});
	}
	assert.equal((await put(tandem, "last", "a.csv", CSV)).status, 201);
	await tandem.post("/datasets/last/prepare", {});
	assert.equal((await settled(tandem, "last")).state, "ready");
	assert.doesNotMatch(tandem.errors, /worker does not start/);
});

test("a pack that was damaged is made anew by preparing again, as its error says", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await put(tandem, "houses", "a.csv", CSV)).status, 201);
	await tandem.post("/datasets/houses/prepare", {});
	await settled(tandem, "houses");
	truncateSync(path.join(tandem.data, "datasets/houses", parts(tandem, "houses")[0], "train.column-0"), 100);
	const { id } = await tandem.submit(onTable("houses"));
	assert.match(JSON.stringify((await tandem.until(id, "failed")).error), /prepare it again/);
	assert.equal((await tandem.post("/datasets/houses/prepare", {})).status, 200);
	assert.equal((await settled(tandem, "houses")).state, "ready");
	await tandem.finish(onTable("houses"));
	assert.equal(parts(tandem, "houses").length, 1);
});

test("preparing takes little memory, however large the files, and tells how far it has come", { skip: patience > 1 && "a sanitizer has memory of its own" }, async (t) => {
	const tandem = await daemon(t);
	const pid = await underPreparation(tandem, "big");
	const seen = new Set();
	let peak_kb = 0;
	for (let d; (d = await tandem.json("/datasets/big")).state === "preparing"; await sleep(10)) {
		if (d.progress?.done) seen.add(d.progress.done);
		signal(pid, "SIGSTOP"); // it goes on in pieces: whoever looks seldom sees some of them, too
		peak_kb = Math.max(peak_kb, Number(/VmHWM:\s+(\d+)/.exec(readProc(pid, "status"))?.[1] ?? 0));
		signal(pid, "SIGCONT");
	}
	assert.equal((await settled(tandem, "big")).state, "ready");
	assert.ok(seen.size > 0, "progress is seen");
	assert.ok(peak_kb > 1000 && peak_kb < 32_000, `the preparer has had ${peak_kb} kB for a file of 24 MB`);
});
