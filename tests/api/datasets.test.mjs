// A data set that is not on disk is fetched, from a mirror on the loopback interface here: cut off, resumed, checked.
import assert from "node:assert/strict";
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import { Tandem, endless, problem, quick, sleep } from "./harness.mjs";

const SOURCE = "/usr/share/datasets/fashion-mnist";
const skip = !existsSync(SOURCE) && "dataset-fashion-mnist is not installed";

// Serves the files by name, with ranges; HOOK(name, from, response, size) may answer in its own way and return true.
async function mirror(t, hook = () => false) {
	const requests = [];
	const server = http.createServer((q, r) => {
		const name = path.basename(new URL(q.url, "http://x").pathname);
		const file = path.join(SOURCE, name);
		const from = Number(/^bytes=(\d+)-/.exec(q.headers.range ?? "")?.[1] ?? 0);
		requests.push({ name, from });
		if (!existsSync(file)) return void r.writeHead(404).end();
		const size = statSync(file).size;
		if (hook(name, from, r, size)) return;
		r.writeHead(from ? 206 : 200, { "content-length": size - from, "accept-ranges": "bytes", etag: '"1"', ...(from && { "content-range": `bytes ${from}-${size - 1}/${size}` }) });
		createReadStream(file, { start: from }).pipe(r);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => { server.closeAllConnections?.(); server.close(); });
	return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

async function daemon(t, url) {
	const tandem = new Tandem();
	t.after(() => tandem.close());
	const empty = path.join(tandem.folder, "no-datasets");
	mkdirSync(empty);
	tandem.options.flags = { "data-root": empty, "dataset-mirror": url };
	return tandem.up();
}

test("a job waits as preparing while its data set comes, and then trains; a connection cut in the middle is taken up there", { skip }, async (t) => {
	let cut_at = 0;
	const { url, requests } = await mirror(t, (name, from, r, size) => {
		if (!name.startsWith("train-images") || cut_at) return false;
		cut_at = Math.floor(size / 3);
		r.writeHead(200, { "content-length": size, "accept-ranges": "bytes", etag: '"1"' });
		r.write(readFileSync(path.join(SOURCE, name)).subarray(0, cut_at), () => setTimeout(() => r.destroy(), 100));
		return true;
	});
	const tandem = await daemon(t, url);
	const { id, state } = await tandem.submit(quick({ train: { epochs: 1 } }));
	assert.equal(state, "preparing");
	const job = await tandem.until(id, "succeeded");
	assert.equal(job.history[0].to, "preparing");
	assert.ok(cut_at > 0);
	const resumed = requests.filter((q) => q.name.startsWith("train-images"));
	assert.ok(resumed.some((q) => q.from > 0), `it went on by Range: ${JSON.stringify(resumed)}`);
	const asked = requests.length;
	await tandem.finish(quick({ train: { epochs: 1 } }));
	assert.equal(requests.length, asked, "the second job finds it on disk");
});

test("files that are not what they should be fail the job with both checksums", { skip }, async (t) => {
	const { url } = await mirror(t, (name, from, r, size) => {
		if (!name.startsWith("t10k-labels")) return false;
		const bytes = readFileSync(path.join(SOURCE, name));
		bytes[size >> 1] ^= 1;
		r.writeHead(200, { "content-length": size }).end(bytes);
		return true;
	});
	const tandem = await daemon(t, url);
	const { id } = await tandem.submit(quick());
	const job = await tandem.until(id, "failed");
	assert.match(JSON.stringify([job.reason, job.detail, job.error, job.history]), /SHA-256 is [0-9a-f]{64}; expected [0-9a-f]{64}/);
	assert.match(JSON.stringify([job.detail, job.error, job.history]), /t10k-labels/);
});

test("a mirror that has nothing fails the job, and says what was asked for", { skip }, async (t) => {
	const { url } = await mirror(t, (name, from, r) => { r.writeHead(404).end(); return true; });
	const tandem = await daemon(t, url);
	const { id } = await tandem.submit(quick());
	assert.match(JSON.stringify(await tandem.until(id, "failed")), /404/);
});

test("a job that waits for its data can be cancelled, and a stop does not wait for the download", { skip }, async (t) => {
	const { url } = await mirror(t, (name, from, r, size) => { r.writeHead(200, { "content-length": size }).write("x"); return true; });
	const tandem = await daemon(t, url);
	const { id } = await tandem.submit(endless());
	await sleep(200);
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	await tandem.submit(endless());
	const began = Date.now();
	assert.equal((await tandem.stop()).code, 0);
	assert.ok(Date.now() - began < 5000);
});

test("a data set that is known to nobody is refused at once, by name", async (t) => {
	const tandem = new Tandem();
	t.after(() => tandem.close());
	await tandem.up();
	const p = problem(assert, await tandem.post("/jobs", quick({ data: { dataset: "imagenet" } })), 422);
	assert.equal(p.errors[0].pointer, "/data/dataset");
	assert.match(p.errors[0].detail, /imagenet/);
});
