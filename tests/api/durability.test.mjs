// A 2xx answer means that it is on disk.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { Tandem, endless, eventually, have, quick, start } from "./harness.mjs";

test("a job is synced to disk between the receipt of its POST and the answer", { skip: !have("strace") && "strace is not installed" }, async (t) => {
	const tandem = new Tandem({ flags: { workers: 1 } });
	const trace = path.join(tandem.folder, "trace");
	tandem.options.env = { ...tandem.options.env, ASAN_OPTIONS: "detect_leaks=0" }; // the leak checker cannot work under another tracer
	tandem.options.wrap = ["strace", "-f", "-ttt", "-s", "64", "-e", "trace=fsync,fdatasync,recvfrom,read,recvmsg,sendto,sendmsg,write,writev", "-o", trace];
	t.after(() => tandem.close());
	await tandem.up();
	await tandem.submit(quick());
	let lines, received, answered;
	await eventually("the trace shows request and answer", () => { // the client knows before the tracer has written
		lines = readFileSync(trace, "utf8").split("\n");
		received = lines.findIndex((l) => l.includes('"POST /api/v1/jobs')); // in a call's own line, or in one that resumes it
		answered = lines.findIndex((l, i) => received >= 0 && i > received && l.includes('"HTTP/1.1 201'));
		return answered > received;
	});
	const synced = lines.slice(received, answered).filter((l) => /(fsync|fdatasync)\(|<\.\.\. (fsync|fdatasync) resumed>/.test(l) && /= 0/.test(l));
	assert.ok(synced.length >= 1, `no sync between them:\n${lines.slice(received, answered + 1).join("\n").slice(0, 3000)}`);
});

test("a job is there after kill -9 at the moment of its answer", async (t) => {
	const tandem = await start(t, { flags: { workers: 1 } });
	const ids = [];
	for (let i = 0; i < 5; i++) {
		ids.push((await tandem.submit(endless())).id);
		await tandem.kill();
		await tandem.up();
	}
	for (const id of ids) assert.ok(await tandem.job(id));
	for (const id of ids) await tandem.act(id, "cancel");
});

test("two daemons do not share one folder", async (t) => {
	const tandem = await start(t);
	const second = new Tandem();
	t.after(() => second.killNow());
	second.data = tandem.data;
	await assert.rejects(second.up(), /left|lock|another/i);
	assert.equal((await tandem.get("//healthz")).status, 200);
});

test("what no row knows of is deleted at the next start", async (t) => {
	const tandem = await start(t);
	const { id } = await tandem.finish(quick({ train: { epochs: 1 } }));
	const known = await tandem.files(id);
	await tandem.stop();
	writeFileSync(path.join(tandem.data, "jobs", id, "step-999999.ckpt"), "half a checkpoint");
	await tandem.up();
	await eventually("it goes", () => !readdirSync(path.join(tandem.data, "jobs", id)).includes("step-999999.ckpt"));
	assert.deepEqual(await tandem.files(id), known);
});
