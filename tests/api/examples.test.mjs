// Every ready-made job of web/examples trains for a few steps, on stand-ins for the data that a user would bring: the same formats,
// a few samples each.
import assert from "node:assert/strict";
import test from "node:test";
import zlib from "node:zlib";
import { sleep, start } from "./harness.mjs";

const STEPS = 2;

// ---- Stand-ins ----

const words = ["market", "team", "chip", "star", "bank", "goal", "code", "moon", "price", "cup"];
const noise = (i, n) => (((i + 1) * 2654435761) >>> 7) % n; // the same numbers in every run

// A picture of one colour and some noise, as PNG.
function png(size, colour, seed) {
	const crc = (bytes) => { let c = ~0; for (const b of bytes) { c ^= b; for (let k = 0; k < 8; k++) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); } return ~c >>> 0; };
	const chunk = (kind, body) => {
		const head = Buffer.alloc(4), tail = Buffer.alloc(4), inner = Buffer.concat([Buffer.from(kind), body]);
		head.writeUInt32BE(body.length);
		tail.writeUInt32BE(crc(inner));
		return Buffer.concat([head, inner, tail]);
	};
	const header = Buffer.alloc(13);
	header.writeUInt32BE(size, 0);
	header.writeUInt32BE(size, 4);
	header.set([8, colour.length === 3 ? 2 : 0], 8);
	const rows = Buffer.concat(Array.from({ length: size }, (_, y) => Buffer.from([0, ...Array.from({ length: size }, (_, x) => colour.map((c) => (c + noise(seed + y * size + x, 40)) & 255)).flat()])));
	return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

// Files by name as a tar archive.
function tar(files) {
	const parts = [];
	for (const [name, content] of Object.entries(files)) {
		const head = Buffer.alloc(512), body = Buffer.from(content);
		head.write(name, 0);
		head.write("0000644\0", 100);
		head.write(body.length.toString(8).padStart(11, "0") + "\0", 124);
		head.write("00000000000\0", 136);
		head.write("        0", 148);
		head.write("ustar\x0000", 257, "latin1");
		head.write(head.reduce((sum, b) => sum + b, 0).toString(8).padStart(6, "0") + "\0 ", 148);
		parts.push(head, body, Buffer.alloc((512 - (body.length % 512)) % 512));
	}
	return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

const pictures = (classes, each, size, channels) => classes.flatMap((name, c) => Array.from({ length: each }, (_, i) =>
	[name, i, png(size, Array.from({ length: channels }, (_, k) => (c * 23 + k * 60) % 200), c * 1000 + i)]));
const ten = Array.from({ length: 10 }, (_, i) => `class-${i}`);

// By dataset: the files, and the format where it is not found out.
const datasets = {
	"fashion-folders": () => ({ files: { "pictures.tar.gz": zlib.gzipSync(tar(Object.fromEntries(["train", "test"].flatMap((part) =>
		pictures(ten, part === "train" ? 20 : 4, 28, 1).map(([name, i, bytes]) => [`${part}/${name}/${i}.png`, bytes])))) ) } }),
	"fashion-csv": () => {
		const all = pictures(ten, 20, 28, 1).map(([name, i, bytes]) => [`pictures/${name}-${i}.png`, name, i < 16 ? "train" : "test", bytes]);
		return { files: { "pictures.tar": tar({ ...Object.fromEntries(all.map(([file, , , bytes]) => [file, bytes])),
			"labels.csv": "path,label,split\n" + all.map(([file, name, split]) => `${file},${name},${split}\n`).join("") }) } };
	},
	"cifar10-stand-in": () => ({ files: Object.fromEntries(["data_batch_1.bin", "test_batch.bin"].map((name, k) => [name, Buffer.concat(Array.from({ length: 200 }, (_, i) =>
		Buffer.from([i % 10, ...Array.from({ length: 3072 }, (_, p) => (i % 10) * 20 + noise(i * 3072 + p + k, 50))])))])) }),
	"wine": () => ({ files: { "winequality-red.csv": [["fixed acidity", "alcohol", "pH", "quality"].map((s) => `"${s}"`).join(";"),
		...Array.from({ length: 300 }, (_, i) => [noise(i, 90) / 10, noise(i + 1, 60) / 10 + 8, noise(i + 2, 30) / 10 + 2, 3 + noise(i, 6)].join(";"))].join("\n") } }),
	"ag-news": () => ({ files: Object.fromEntries(["train.csv", "test.csv"].map((name, k) => [name, Array.from({ length: k ? 40 : 400 }, (_, i) =>
		`"${1 + (i % 4)}","A title","the ${words[i % 4]} and ${words[noise(i, 10)]} of ${words[noise(i + 5, 10)]}"`).join("\n")])),
		format: { type: "labelled_text", header: "no", label_column: "1", text_column: "3" } }),
	"shakespeare": () => ({ files: { "text.txt": Array.from({ length: 600 }, (_, i) => `${words[noise(i, 10)]} ${words[noise(i + 3, 10)]}, ${words[i % 10]}.`).join("\n") } }),
	"photographs": () => ({ files: { "photographs.tar": tar(Object.fromEntries(pictures(["cat", "dog"], 8, 64, 3).map(([name, i, bytes]) => [`${name}/${i}.png`, bytes]))) } }),
};

// What an example is changed by, so that it takes a second: fewer steps, and a vocabulary of another size.
const changes = {
	"char-lstm": (job, info) => { job.model.layers.at(-1).out_features = info.characters + 2; },
};

async function bring(tandem, name) {
	const { files, format } = datasets[name]();
	for (const [file, content] of Object.entries(files)) {
		const r = await tandem.request("PUT", `/datasets/${name}/files/${file}`, { body: Buffer.from(content), headers: { "content-type": "application/octet-stream" } });
		assert.equal(r.status, 201, r.text);
	}
	const r = await tandem.post("/datasets", { name, ...(format && { format }) });
	assert.ok(r.status < 300, r.text);
	for (;;) {
		const d = await tandem.json(`/datasets/${name}?wait=5`);
		if (["ready", "failed"].includes(d.state)) { assert.equal(d.state, "ready", JSON.stringify(d.error)); return d.info; }
	}
}

// ---- The examples ----

test("every ready-made job trains on data of the form that it asks for", async (t) => {
	const tandem = await start(t);
	const infos = {};
	for (const { name } of (await tandem.json("/examples")).items) {
		await t.test(name, async () => {
			const example = await tandem.json(`/examples/${name}`);
			const job = structuredClone(example.base ?? example);
			job.data.dataset = job.data.dataset.replace(/^cifar10$/, "cifar10-stand-in"); // the real one is fetched by its name
			const dataset = job.data.dataset;
			if (datasets[dataset]) infos[dataset] ??= await bring(tandem, dataset);
			if (job.init_from) { // the weights that a user would upload: those of the same network, untrained
				const plain = await tandem.finish({ ...job, init_from: undefined, freeze: undefined, train: { steps: 1 } });
				const r = await tandem.request("PUT", `/models/${job.init_from.model}`, { body: { job: plain.id, checkpoint: "last" } });
				assert.ok(r.status < 300, r.text);
			}
			changes[name]?.(job, infos[dataset]);
			const { epochs, ...train } = job.train;
			const small = { ...job, data: { ...job.data, batch_size: Math.min(job.data.batch_size, 8), ...(dataset.startsWith("fashion-mnist") && { limit: 2000 }) }, train: { ...train, steps: STEPS, validate_every: STEPS }, resources: { ...job.resources, threads: 2 } };
			if (small.data.split?.validation > 1) small.data.split = { ...small.data.split, validation: 20 };
			if (!example.base) {
				const done = await tandem.finish(small);
				assert.deepEqual(done.warnings, [], "what is offered as an example is what is meant");
				assert.ok(Number.isFinite(done.summary["test/loss"] ?? done.summary["train/loss"]), JSON.stringify(done.summary));
				return;
			}
			const r = await tandem.post("/sweeps", { ...example, base: small, max_jobs: 3, asha: { ...example.asha, min_steps: 1 } });
			assert.equal(r.status, 201, r.text);
			let sweep = r.json;
			while (sweep.state === "running") { await sleep(100); sweep = await tandem.json(`/sweeps/${sweep.id}`); }
			assert.equal(sweep.state, "succeeded");
			assert.ok(sweep.best, JSON.stringify(sweep.counts));
		});
	}
});
