// make cifar10 CIFAR10=FOLDER: CIFAR-10 twice, as a lab would bring it, and the course's two networks on it.
//
// FOLDER holds cifar10-train.tar.gz and cifar10-test.tar.gz, class folders of pictures.  They are registered as they are; then
// packed into the official binary layout and fetched over HTTP from a server that cuts the connection, lies about checksums, and
// sends too little and too much.  Prints what every run came to; fails where the bounds of the course are missed.
import assert from "node:assert/strict";
import { createReadStream, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { Tandem, root, sha256 } from "../api/harness.mjs";

const HOUR = 3_600_000;
const source = path.resolve(process.argv[2] ?? process.env.CIFAR10 ?? "");
const archives = ["cifar10-train.tar.gz", "cifar10-test.tar.gz"].map((name) => path.join(source, name));
if (!process.argv[2] || !archives.every(existsSync)) {
	console.error("usage: node tests/examples/cifar10.mjs FOLDER; it needs cifar10-train.tar.gz and cifar10-test.tar.gz");
	process.exit(2);
}

const tandem = new Tandem({ flags: { threads: Math.max(2, os.cpus().length), workers: 2, "fetch-private": "on" } });
const root_folder = path.join(tandem.folder, "root");
mkdirSync(path.join(root_folder, "pictures"), { recursive: true });
for (const file of archives) writeFileSync(path.join(root_folder, "pictures", path.basename(file)), readFileSync(file));
tandem.options.flags["data-root"] = root_folder;

// Register a dataset and follow it to its end.
async function register(document, wanted) {
	const began = Date.now();
	const r = await tandem.post("/datasets", document);
	assert.equal(r.status, 201, r.text);
	for (;;) {
		const d = await tandem.json(`/datasets/${document.name}?wait=20`, { ms: 60_000 });
		if (["ready", "failed", "cancelled"].includes(d.state)) {
			console.log(`${document.name.padEnd(20)} ${d.state} after ${((Date.now() - began) / 1000).toFixed(1)} s  ${d.error?.detail ?? JSON.stringify(d.samples)}`);
			assert.equal(d.state, wanted);
			return d;
		}
	}
}

// Batch files of the official layout from a pack's columns: a byte for the label, 3,072 for the picture, planes first; the
// classes mixed, as there, by a fixed order.
function write_batches(folder, pack, part, names) {
	const labels = new Int32Array(new Uint8Array(readFileSync(path.join(pack, `${part}.labels`))).buffer);
	const images = readFileSync(path.join(pack, `${part}.images`));
	const order = [...labels.keys()].map((i) => [sha256(`${part} ${i}`), i]).sort().map(([, i]) => i);
	const each = labels.length / names.length;
	names.forEach((name, k) => writeFileSync(path.join(folder, name), Buffer.concat(order.slice(k * each, (k + 1) * each)
		.flatMap((i) => [Buffer.of(labels[i]), images.subarray(i * 3072, (i + 1) * 3072)]))));
}

// Serves FOLDER; FAULT(name, from, response, size) may answer in its own way and return true.
function serve(folder, fault) {
	const server = http.createServer((q, r) => {
		const name = path.basename(q.url), file = path.join(folder, name);
		const from = Number(/^bytes=(\d+)-/.exec(q.headers.range ?? "")?.[1] ?? 0), size = statSync(file).size;
		if (fault(name, from, r, size)) return;
		r.writeHead(from ? 206 : 200, { "content-length": size - from, etag: '"1"', ...(from && { "content-range": `bytes ${from}-${size - 1}/${size}` }) });
		createReadStream(file, { start: from }).pipe(r);
	});
	return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

async function train(example, dataset, bound, changes = {}) {
	const spec = JSON.parse(readFileSync(path.join(root, "web/examples", `${example}.json`)));
	const began = Date.now();
	const job = await tandem.submit({ ...spec, ...changes, data: { ...spec.data, dataset } });
	const done = await tandem.until(job.id, "succeeded", HOUR);
	const best = Math.max(...(await tandem.points(job.id, "val/accuracy")).map((p) => Number(p.value)));
	console.log(`${example.padEnd(20)} best val/accuracy ${best.toFixed(4)}, test/accuracy ${done.summary["test/accuracy"]}, ${((Date.now() - began) / 1000).toFixed(0)} s`);
	assert.ok(best >= bound, `${example}: ${best} is below ${bound}`);
}

try {
	await tandem.up();
	const pictures = await register({ name: "cifar10-pictures", folder: "pictures" }, "ready");
	const home = path.join(tandem.data, "datasets/cifar10-pictures");
	const pack = path.join(home, readdirSync(home).find((name) => /^pack-[0-9a-f]+$/.test(name)));

	const web = path.join(tandem.folder, "web");
	mkdirSync(web);
	write_batches(web, pack, "train", [1, 2, 3, 4, 5].map((k) => `data_batch_${k}.bin`));
	write_batches(web, pack, "test", ["test_batch.bin"]);
	writeFileSync(path.join(web, "batches.meta.txt"), pictures.info.classes.join("\n") + "\n");
	const names = readdirSync(web);

	let cuts = 0, fault = () => false;
	const server = await serve(web, (...about) => fault(...about));
	const url = `http://127.0.0.1:${server.address().port}`;
	const files = (edit = (f) => f) => names.map((name) => edit({ url: `${url}/${name}`, name, sha256: sha256(readFileSync(path.join(web, name))) }));

	fault = (name, from, r, size) => { // the connection breaks in the middle of each batch, once
		if (from || name !== "data_batch_3.bin" || cuts++) return false;
		r.writeHead(200, { "content-length": size, etag: '"1"' }).write(readFileSync(path.join(web, name)).subarray(0, size >> 1), () => setTimeout(() => r.destroy(), 50));
		return true;
	};
	await register({ name: "cifar10-binary", files: files() }, "ready");
	assert.equal(cuts, 1, "the connection was cut, and the rest was asked for from there");

	fault = () => false;
	await register({ name: "cifar10-checksum", files: files((f) => (f.name === "test_batch.bin" ? { ...f, sha256: "0".repeat(64) } : f)) }, "failed");
	fault = (name, from, r, size) => { // the server believes that the file is shorter
		if (name !== "data_batch_2.bin") return false;
		r.writeHead(200, { "content-length": size - 1000, etag: '"1"' }).end(readFileSync(path.join(web, name)).subarray(0, size - 1000));
		return true;
	};
	await register({ name: "cifar10-truncated", files: files(({ sha256: _, ...f }) => f) }, "failed");
	fault = (name, from, r) => {
		if (name !== "data_batch_2.bin") return false;
		r.writeHead(200);
		const more = () => { while (r.write(Buffer.alloc(1 << 20))); };
		r.on("drain", more);
		more();
		return true;
	};
	await register({ name: "cifar10-oversized", files: files(({ sha256: _, ...f }) => f), max_bytes: 200_000_000 }, "failed");
	server.closeAllConnections?.();
	server.close();

	await train("cifar10-convnet", "cifar10-binary", 0.55);
	await train("cifar10-challenge", "cifar10-binary", 0.70);
} finally {
	await tandem.close();
	rmSync(tandem.folder, { recursive: true, force: true });
}
