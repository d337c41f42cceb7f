// What the tests of datasets share: a server of files that can misbehave, a daemon that may fetch from it, and a table.
import assert from "node:assert/strict";
import { createReadStream, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { Tandem, patience, quick, sha256, sleep } from "./harness.mjs";

export const SOURCE = "/usr/share/datasets/fashion-mnist";
export const skip = !existsSync(SOURCE) && "dataset-fashion-mnist is not installed";
export const CSV = "size,town,price\n" + Array.from({ length: 60 }, (_, i) => `${i},${["ulm", "bonn", "kiel"][i % 3]},${i * 2 + 1}`).join("\n") + "\n";

// An HTTP server of FILES (name -> bytes or path), with ranges and a version; HOOK(name, from, response, size, request) may
// answer in its own way and return true.
export async function serve(t, files, hook = () => false) {
	const requests = [];
	const server = http.createServer((q, r) => {
		const name = path.basename(new URL(q.url, "http://x").pathname);
		const file = typeof files === "string" ? path.join(files, name) : files[name];
		if (file === undefined || (typeof files === "string" && !existsSync(file))) return void r.writeHead(404).end();
		const bytes = Buffer.isBuffer(file) ? file : typeof files === "string" ? null : Buffer.from(file);
		const size = bytes ? bytes.length : statSync(file).size;
		const etag = bytes ? `"${sha256(bytes).slice(0, 16)}"` : '"1"';
		const same = !q.headers["if-range"] || q.headers["if-range"] === etag;
		const from = same ? Number(/^bytes=(\d+)-/.exec(q.headers.range ?? "")?.[1] ?? 0) : 0;
		requests.push({ name, from });
		if (hook(name, from, r, size, q)) return;
		r.writeHead(from ? 206 : 200, { "content-length": size - from, "accept-ranges": "bytes", etag, ...(from && { "content-range": `bytes ${from}-${size - 1}/${size}` }) });
		if (bytes) r.end(bytes.subarray(from));
		else createReadStream(file, { start: from }).pipe(r);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.after(() => { server.closeAllConnections?.(); server.close(); });
	return { url: `http://127.0.0.1:${server.address().port}`, requests, server };
}

export async function daemon(t, flags = {}) {
	const tandem = new Tandem();
	t.after(() => tandem.close());
	tandem.root = path.join(tandem.folder, "root");
	mkdirSync(tandem.root);
	tandem.options.flags = { "data-root": tandem.root, "fetch-private": "on", ...flags };
	return tandem.up();
}

export const mirrored = (t, url) => daemon(t, { "dataset-mirror": url, "fetch-private": "off" });

// The dataset once it has come to rest, or to one of STATES.
export async function settled(tandem, name, states = ["ready", "failed", "cancelled"], ms = 60_000 * patience) {
	for (const end = Date.now() + ms; Date.now() < end; await sleep(30)) {
		const d = await tandem.json(`/datasets/${name}`);
		if (states.includes(d.state)) return d;
	}
	throw new Error(`dataset ${name} is ${(await tandem.get(`/datasets/${name}`)).text.slice(0, 1000)}`);
}

export async function register(tandem, body, status = 201) {
	const r = await tandem.post("/datasets", body);
	assert.equal(r.status, status, r.text);
	return r.json;
}

export const put = (tandem, name, file, body, options = {}) =>
	tandem.request("PUT", `/datasets/${name}/files/${encodeURIComponent(file)}`, { body, headers: { "content-type": "application/octet-stream" }, ...options });

// What the dataset's folder holds of packs, whole or growing.
export const parts = (tandem, name) => readdirSync(path.join(tandem.data, `datasets/${name}`)).filter((file) => file.startsWith("pack-"));

export const onTable = (dataset, changes = {}) => quick({
	data: { dataset, batch_size: 8, features: ["size", "town"], target: ["price"], split: { validation: 0.2, by: "random" } },
	model: { layers: [{ type: "linear", out_features: 1 }] }, loss: "mse", metrics: ["mae"], train: { epochs: 1 }, ...changes });
