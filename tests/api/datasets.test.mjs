// Datasets: known ones from a mirror, others from an address, a folder or an upload; what each does when it goes wrong.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import test from "node:test";
import { COLUMN_TYPES, FORMATS } from "../../web/lib/datasets.js";
import { SOURCE, skip, CSV, serve, daemon, mirrored, settled, register, put, onTable } from "./datasets.mjs";
import { Tandem, endless, eventually, problem, quick, sha256, sleep } from "./harness.mjs";

// ---- Known by name ----

test("a job waits as preparing while its dataset comes, and then trains; a connection cut in the middle is taken up there", { skip }, async (t) => {
	let cut_at = 0;
	const { url, requests } = await serve(t, SOURCE, (name, from, r, size) => {
		if (!name.startsWith("train-images") || cut_at) return false;
		cut_at = Math.floor(size / 3);
		r.writeHead(200, { "content-length": size, "accept-ranges": "bytes", etag: '"1"' });
		r.write(readFileSync(path.join(SOURCE, name)).subarray(0, cut_at), () => setTimeout(() => r.destroy(), 100));
		return true;
	});
	const tandem = await mirrored(t, url);
	const { id, state } = await tandem.submit(quick({ train: { epochs: 1 } }));
	assert.equal(state, "preparing");
	const job = await tandem.until(id, "succeeded");
	assert.equal(job.history[0].to, "preparing");
	assert.ok(cut_at > 0);
	const resumed = requests.filter((q) => q.name.startsWith("train-images"));
	assert.ok(resumed.some((q) => q.from > 0), `it went on by Range: ${JSON.stringify(resumed)}`);
	assert.match((await tandem.get(`/jobs/${id}/log`)).text, /fetching fashion-mnist: [\d.]+ of 30\.9 MB/);
	const asked = requests.length;
	await tandem.finish(quick({ train: { epochs: 1 } }));
	assert.equal(requests.length, asked, "the second job finds it on disk");
	const d = await tandem.json("/datasets/fashion-mnist");
	assert.deepEqual([d.state, d.kind, d.classes, d.samples], ["ready", "images", 10, { train: 60000, test: 10000 }]);
	assert.ok(d.files.every((f) => f.state === "ready" && f.fetched === f.bytes));
	assert.equal(d.summary.classes.length, 10);
	assert.ok(d.summary.samples.length > 0);
});

test("files that are not what they should be fail the job with both checksums, and the next job tries again", { skip }, async (t) => {
	let broken = true;
	const { url } = await serve(t, SOURCE, (name, from, r, size) => {
		if (!name.startsWith("t10k-labels") || !broken) return false;
		const bytes = readFileSync(path.join(SOURCE, name));
		bytes[size >> 1] ^= 1;
		r.writeHead(200, { "content-length": size }).end(bytes);
		return true;
	});
	const tandem = await mirrored(t, url);
	const { id } = await tandem.submit(quick());
	const job = await tandem.until(id, "failed");
	assert.match(JSON.stringify([job.reason, job.detail, job.error, job.history]), /SHA-256 is [0-9a-f]{64}; expected [0-9a-f]{64}/);
	assert.match(JSON.stringify([job.detail, job.error, job.history]), /t10k-labels/);
	const d = await tandem.json("/datasets/fashion-mnist");
	assert.equal(d.state, "failed");
	assert.match(d.error.detail, /SHA-256/);
	broken = false;
	await tandem.finish(quick({ train: { epochs: 1 } }));
});

test("a mirror that has nothing fails the job, and says what was asked for", { skip }, async (t) => {
	const { url } = await serve(t, SOURCE, (name, from, r) => { r.writeHead(404).end(); return true; });
	const tandem = await mirrored(t, url);
	const { id } = await tandem.submit(quick());
	assert.match(JSON.stringify(await tandem.until(id, "failed")), /404/);
});

test("a job that waits for its data can be cancelled, and a stop does not wait for the download", { skip }, async (t) => {
	const { url } = await serve(t, SOURCE, (name, from, r, size) => { r.writeHead(200, { "content-length": size }).write("x"); return true; });
	const tandem = await mirrored(t, url);
	const { id } = await tandem.submit(endless());
	await sleep(200);
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	await tandem.submit(endless());
	const began = Date.now();
	assert.equal((await tandem.stop()).code, 0);
	assert.ok(Date.now() - began < 5000);
});

test("what is only checked, and what is refused, does not begin a download", { skip }, async (t) => {
	const { url, requests } = await serve(t, SOURCE);
	const tandem = await mirrored(t, url);
	const dry = await tandem.post("/jobs?dry_run=1", quick());
	assert.equal(dry.status, 200, dry.text);
	assert.ok(dry.json.parameters > 0, "shapes are known without the data");
	problem(assert, await tandem.post("/jobs", quick({ model: { layers: [{ type: "conv2d", out_channels: 8, kernel_size: 99 }] } })), 422);
	problem(assert, await tandem.post("/jobs", quick({ resources: { threads: 99 } })), 422);
	await sleep(300);
	assert.equal((await tandem.json("/datasets/fashion-mnist")).state, "known");
	assert.equal(requests.length, 0);
	await tandem.finish(quick({ train: { epochs: 1 } }));
});

test("files that an older version has fetched are used, and so is a folder of --data-root, without anybody's registering", { skip }, async (t) => {
	const { url, requests } = await serve(t, {});
	for (const where of ["data", "root"]) {
		const tandem = new Tandem();
		t.after(() => tandem.close());
		const folder = where === "data" ? path.join(tandem.data, "datasets/fashion-mnist") : path.join(tandem.folder, "root/fashion-mnist");
		mkdirSync(folder, { recursive: true });
		for (const name of readdirSync(SOURCE)) copyFileSync(path.join(SOURCE, name), path.join(folder, name));
		tandem.options.flags = { "data-root": path.join(tandem.folder, "root"), "dataset-mirror": url };
		await tandem.up();
		await tandem.finish(quick({ train: { epochs: 1 } }));
		assert.equal((await tandem.json("/datasets/fashion-mnist")).state, "ready");
	}
	assert.equal(requests.length, 0);
});

test("the list shows what is known and what is registered; an unknown name is refused with the nearest one, or with what to do", async (t) => {
	const tandem = await daemon(t);
	const { items } = await tandem.json("/datasets");
	assert.deepEqual(items.map((d) => [d.name, d.state, d.known]), ["cifar10", "cifar100", "fashion-mnist", "mnist"].map((name) => [name, "known", true]));
	assert.deepEqual([items[0].kind, items[0].samples, items[0].classes, items[0].bytes], ["images", { train: 50000, test: 10000 }, 10, 170052171]);
	assert.equal((await tandem.json("/datasets/cifar100")).info.classes.length, 100);

	let p = problem(assert, await tandem.post("/jobs", quick({ data: { dataset: "imagenet" } })), 422);
	assert.equal(p.errors[0].pointer, "/data/dataset");
	assert.match(p.errors[0].detail, /imagenet.*POST \/api\/v1\/datasets/);
	p = problem(assert, await tandem.post("/jobs", quick({ data: { dataset: "cifar01" } })), 422);
	assert.match(p.errors[0].detail, /did you mean "cifar10"\?/);
	mkdirSync(path.join(tandem.root, "flowers"));
	p = problem(assert, await tandem.post("/jobs", quick({ data: { dataset: "flowers" } })), 422);
	assert.match(p.errors[0].detail, /"folder": "flowers"/);
	problem(assert, await tandem.get("/datasets/imagenet"), 404);
});

// ---- From an address ----

test("a table from an address goes through all its states, and everybody who follows the events sees it", async (t) => {
	const { url } = await serve(t, { "houses.csv": CSV });
	const tandem = await daemon(t);
	const seen = [], events = await tandem.listen("/events");
	const following = (async () => {
		for await (const e of events)
			if (e.event === "dataset" && e.data.name === "houses") {
				assert.ok(!("job" in e.data));
				if (seen.at(-1) !== e.data.state) seen.push(e.data.state);
				if (e.data.state === "ready") return;
			}
	})();
	const made = await register(tandem, { name: "houses", url: `${url}/houses.csv?v=1`, sha256: sha256(CSV).toUpperCase() });
	assert.equal(made.state, "fetching");
	assert.deepEqual(made.source, { url: `${url}/houses.csv?v=1` });
	await following;
	assert.deepEqual(seen, ["fetching", "preparing", "ready"]);
	const d = await tandem.json("/datasets/houses");
	assert.deepEqual([d.kind, d.samples.train, d.bytes, d.error, d.progress], ["table", 60, CSV.length, null, null]);
	assert.deepEqual(d.files.map((f) => [f.name, f.bytes, f.sha256, f.state]), [["houses.csv", CSV.length, sha256(CSV), "ready"]]);
	assert.deepEqual(d.info.columns.map((c) => [c.name, c.type]), [["size", "number"], ["town", "category"], ["price", "number"]]);
	assert.ok(d.links.self.endsWith("/api/v1/datasets/houses") && d.links.page.endsWith("/datasets/houses"));
	assert.ok((await tandem.json("/datasets")).items.some((i) => i.name === "houses" && i.state === "ready" && i.samples.train === 60));
	const job = await tandem.finish(onTable("houses"));
	assert.equal(job.state, "succeeded");
	// The same again is no change; another content is another dataset.
	await register(tandem, { url: `${url}/houses.csv?v=1`, name: "houses", sha256: sha256(CSV).toUpperCase() }, 200);
	problem(assert, await tandem.post("/datasets", { name: "houses", url: `${url}/other.csv` }), 409);
	problem(assert, await tandem.post("/datasets", { name: "houses" }), 409);
});

test("the list is in the order of names, in pages joined by a cursor and a link", async (t) => {
	const tandem = await daemon(t);
	for (const name of ["zebras", "ants", "cows", "mnist"]) await register(tandem, { name });
	const names = ["ants", "cifar10", "cifar100", "cows", "fashion-mnist", "mnist", "zebras"];
	assert.deepEqual((await tandem.json("/datasets")).items.map((d) => d.name), names);
	for (const limit of [1, 2, 3, 7, 8]) {
		const pages = [];
		for (let where = `/datasets?limit=${limit}`; where; ) {
			const { json, headers } = await tandem.get(where);
			assert.equal(json.has_more, json.next !== null);
			where = json.has_more ? headers.link.match(/^<\/api\/v1(.*)>; rel="next"$/)[1] : (assert.equal(headers.link, undefined), null);
			pages.push(json.items.map((d) => d.name));
		}
		assert.deepEqual(pages, Array.from({ length: Math.ceil(7 / limit) }, (_, i) => names.slice(i * limit, (i + 1) * limit)));
	}
	problem(assert, await tandem.get("/datasets?limit=0"), 400);
});

test("a dataset is registered once for each Idempotency-Key", async (t) => {
	const tandem = await daemon(t);
	const post = (body, key) => tandem.post("/datasets", body, { headers: { "idempotency-key": key } });
	const first = await post({ name: "once" }, "k1");
	assert.deepEqual([first.status, first.headers.location, first.json.state], [201, "/api/v1/datasets/once", "uploading"]);
	assert.equal((await put(tandem, "once", "a.csv", CSV)).status, 201);
	await tandem.restart();
	const again = await post({ name: "once" }, "k1");
	assert.deepEqual([again.status, again.text, again.headers["idempotent-replayed"]], [201, first.text, "true"]);
	assert.equal((await tandem.json("/datasets/once")).state, "uploading", "the same request once more says nothing of its files");
	problem(assert, await post({ name: "twice" }, "k1"), 422);
	problem(assert, await tandem.get("/datasets/twice"), 404);
	const complete = await post({ name: "once" }, "k2");
	assert.deepEqual([complete.status, complete.json.state, complete.headers.location], [200, "preparing", undefined]);
	await settled(tandem, "once");
	assert.equal((await post({ name: "once" }, "k2")).json.state, "preparing", "the answer that was given");
	assert.deepEqual((({ status, json }) => [status, json.state, json.summary.columns.length])(await post({ name: "once" }, "k3")), [200, "ready", 3]);
});

test("a wrong checksum, a truncated and an oversized file end in a clear state, and leave no file behind", async (t) => {
	const long = Buffer.from(CSV.repeat(40));
	const { url, requests } = await serve(t, { "wrong.csv": CSV, "short.csv": long, "large.csv": long, "gone.csv": CSV }, (name, from, r, size) => {
		if (name === "gone.csv") return r.writeHead(410).end(), true;
		if (name !== "short.csv") return false;
		r.writeHead(from ? 206 : 200, { "content-length": size - from }); // no version: nothing to go on from
		r.write(long.subarray(from, 1000), () => setTimeout(() => r.destroy(), 20));
		return true;
	});
	const tandem = await daemon(t);
	await register(tandem, { name: "wrong", url: `${url}/wrong.csv`, sha256: "0".repeat(64) });
	await register(tandem, { name: "large", url: `${url}/large.csv`, max_bytes: 1000 });
	await register(tandem, { name: "gone", files: [{ url: `${url}/large.csv` }, { url: `${url}/gone.csv` }] });
	const expected = { wrong: /SHA-256 is [0-9a-f]{64}; expected 0{64}/, large: /max_bytes, 1000/, gone: /410/ };
	for (const [name, says] of Object.entries(expected)) {
		const d = await settled(tandem, name);
		assert.equal(d.state, "failed");
		assert.match(d.error.detail, says);
		assert.ok(!existsSync(path.join(tandem.data, `datasets/${name}/${name}.csv`)));
		const p = problem(assert, await tandem.post("/jobs", onTable(name)), 422);
		assert.match(p.errors[0].detail, says, "a job that names it hears why");
	}
	const asked = requests.length;
	await register(tandem, { name: "short", url: `${url}/short.csv` });
	await eventually("it is tried again", () => requests.length >= asked + 2);
	const r = await tandem.post("/datasets/short/cancel");
	assert.equal(r.json.state, "cancelled");
	problem(assert, await tandem.post("/datasets/short/cancel"), 409);
});

test("a daemon that was killed in the middle of a download goes on from there, if the server has the same version", async (t) => {
	const rows = Array.from({ length: 60_000 }, (_, i) => `${i},${i % 7}`).join("\n");
	const files = { "big.csv": Buffer.from(`a,b\n${rows}\n`) };
	let stall = true;
	const { url, requests } = await serve(t, files, (name, from, r, size) => {
		if (!stall) return false;
		r.writeHead(200, { "content-length": size, etag: `"${sha256(files["big.csv"]).slice(0, 16)}"` });
		r.write(files["big.csv"].subarray(0, size >> 1));
		return true;
	});
	const tandem = await daemon(t);
	await register(tandem, { name: "big", url: `${url}/big.csv` });
	for (let d; (d = await tandem.json("/datasets/big")).files[0].fetched < files["big.csv"].length / 2; await sleep(50))
		assert.equal(d.state, "fetching");
	await tandem.kill();
	stall = false;
	await tandem.up();
	assert.equal((await settled(tandem, "big")).state, "ready");
	assert.equal(requests.at(-1).from, files["big.csv"].length >> 1);

	// Another version of the file: nothing of the old one is kept.
	stall = true;
	await register(tandem, { name: "new", url: `${url}/big.csv` });
	for (let d; (d = await tandem.json("/datasets/new")).files[0].fetched < files["big.csv"].length / 2; await sleep(50))
		assert.equal(d.state, "fetching");
	await tandem.kill();
	stall = false;
	files["big.csv"] = Buffer.from(CSV);
	await tandem.up();
	const d = await settled(tandem, "new");
	assert.equal(d.state, "ready", JSON.stringify(d.error));
	assert.equal(d.files[0].sha256, sha256(CSV));
});

test("addresses of the machine's own network are refused unless the daemon allows them, also behind a redirect", async (t) => {
	const { url, requests } = await serve(t, { "a.csv": CSV });
	const tandem = await daemon(t, { "fetch-private": "off" });
	await register(tandem, { name: "inside", url: `${url}/a.csv` });
	const d = await settled(tandem, "inside");
	assert.equal(d.state, "failed");
	assert.match(d.error.detail, /not a public one.*--fetch-private on/);
	assert.equal(requests.length, 0);
});

test("cancelling stops a download at once; prepare goes on with it, and a job waits for it meanwhile", async (t) => {
	let hold = true;
	let open = 0;
	const { url } = await serve(t, { "a.csv": CSV }, (name, from, r, size) => {
		if (!hold) return false;
		open++;
		r.on("close", () => open--);
		r.writeHead(200, { "content-length": size }).write(CSV.slice(0, 10));
		return true;
	});
	const tandem = await daemon(t);
	await register(tandem, { name: "slow", url: `${url}/a.csv` });
	await eventually("it is on its way", () => open);
	const { id } = await tandem.submit(onTable("slow"));
	assert.equal((await tandem.job(id)).state, "preparing");
	problem(assert, await tandem.request("DELETE", "/datasets/slow"), 409);
	const r = await tandem.post("/datasets/slow/cancel");
	assert.deepEqual([r.status, r.json.state], [200, "cancelled"]);
	await eventually("the connection is closed", () => open === 0);
	const job = await tandem.until(id, "failed");
	assert.match(JSON.stringify(job), /cancelled/);
	hold = false;
	assert.equal((await tandem.post("/datasets/slow/prepare", {})).status, 200);
	assert.equal((await settled(tandem, "slow")).state, "ready");
});

test("the form for a dataset offers the formats and types of columns that there are", async (t) => {
	const tandem = await daemon(t);
	const format = (await tandem.json("/schema/job.json")).$defs.format.properties;
	assert.deepEqual(FORMATS.map(([name]) => name).sort(), [...format.type.enum].sort());
	assert.deepEqual(COLUMN_TYPES, format.columns.additionalProperties.enum);
});

test("a registration says of each field what is wrong with it", async (t) => {
	const tandem = await daemon(t, { "dataset-max-bytes": 1_000_000 });
	const rows = [
		[{ url: "http://x/y" }, "", /name/], [{ name: "../x" }, "/name", /no name/], [{ name: "a".repeat(65), url: "http://x/y" }, "/name"],
		[{ name: "a", url: "ftp://x/y" }, "/url", /http/], [{ name: "a", url: "file:///etc/passwd" }, "/url"], [{ name: "a", url: "http://" }, "/url"],
		[{ name: "a", url: "http://me:secret@x/y" }, "/url", /password/], [{ name: "a", url: "http://x/a b" }, "/url", /space/],
		[{ name: "a", url: "http://x/y", sha256: "12" }, "/sha256", /64/], [{ name: "a", url: "http://x/y", folder: "b" }, "/folder", /one source/],
		[{ name: "a", files: [{ url: "http://x/y", name: "../y" }] }, "/files/0/name"], [{ name: "a", files: [] }, "/files"],
		[{ name: "a", files: [{ url: "http://x/y" }, { url: "http://z/y" }] }, "/files/1/name", /two files/],
		[{ name: "a", folder: "../.." }, "/folder", /leads out/], [{ name: "a", folder: "/etc" }, "/folder"], [{ name: "a", folder: "none" }, "/folder", /there is no/],
		[{ name: "mnist", url: "http://x/y" }, "/url", /known by name/], [{ name: "mnist", format: { type: "idx" } }, "/format", /known by name/],
		[{ name: "a", url: "http://x/y", max_bytes: 2_000_000 }, "/max_bytes", /dataset-max-bytes/],
		[{ name: "a", url: "http://x/y", format: { type: "idxx" } }, "/format/type", /idx/], [{ name: "a", url: "http://x/y", format: { type: "table", colums: {} } }, "/format/colums", /columns/],
		[{ name: "a", uri: "http://x/y" }, "/uri", /url/],
	];
	for (const [body, pointer, says] of rows) {
		const p = problem(assert, await tandem.post("/datasets", body), 422);
		const fault = p.errors.find((e) => e.pointer === pointer);
		assert.ok(fault, `${JSON.stringify(body)}: ${JSON.stringify(p.errors)}`);
		if (says) assert.match(fault.detail, says);
	}
	assert.equal((await tandem.json("/datasets")).items.filter((d) => !d.known).length, 0);
});

// ---- From a folder ----

test("a folder below the root is read where it is, and links do not lead out of it", async (t) => {
	const tandem = await daemon(t);
	mkdirSync(path.join(tandem.root, "lab/houses"), { recursive: true });
	writeFileSync(path.join(tandem.root, "lab/houses/train.csv"), CSV);
	writeFileSync(path.join(tandem.root, "lab/houses/test.csv"), CSV.split("\n").slice(0, 21).join("\n"));
	writeFileSync(path.join(tandem.root, "lab/houses/.notes"), "not data");
	const made = await register(tandem, { name: "houses", folder: "lab/houses" });
	assert.deepEqual([made.state, made.source, made.files.map((f) => f.name)], ["preparing", { folder: "lab/houses" }, ["test.csv", "train.csv"]]);
	const d = await settled(tandem, "houses");
	assert.equal(d.state, "ready", JSON.stringify(d.error));
	assert.deepEqual(d.samples, { train: 60, test: 20 });
	assert.deepEqual(readdirSync(path.join(tandem.root, "lab/houses")).sort(), [".notes", "test.csv", "train.csv"], "nothing is written there");
	mkdirSync(path.join(tandem.root, "tree/below"), { recursive: true });
	writeFileSync(path.join(tandem.root, "tree/below/a.csv"), CSV);
	await register(tandem, { name: "tree", folder: "tree" });
	const tree = await settled(tandem, "tree");
	assert.deepEqual([tree.state, tree.files[0].bytes, tree.bytes], ["ready", null, CSV.length], "a folder of folders has a size, once it was read");
	mkdirSync(path.join(tandem.root, "evil"));
	symlinkSync("/etc/passwd", path.join(tandem.root, "evil/a.csv"));
	const p = problem(assert, await tandem.post("/datasets", { name: "evil", folder: "evil" }), 422);
	assert.match(p.errors[0].detail, /leads out/);
	assert.equal((await tandem.request("DELETE", "/datasets/houses")).status, 204);
	assert.ok(existsSync(path.join(tandem.root, "lab/houses/train.csv")), "a deleted dataset's folder is not ours to remove");
});

test("a file that was replaced by a link out of the root is not read, and a name that is no UTF-8 is refused", async (t) => {
	const tandem = await daemon(t);
	const folder = path.join(tandem.root, "houses");
	const file = path.join(folder, "a.csv");
	mkdirSync(folder);
	writeFileSync(file, CSV);
	await register(tandem, { name: "houses", folder: "houses" });
	await settled(tandem, "houses");
	unlinkSync(file);
	symlinkSync("/etc/passwd", file);
	assert.equal((await tandem.post("/datasets/houses/prepare", { format: { type: "text" } })).status, 200);
	const d = await settled(tandem, "houses");
	assert.equal(d.state, "failed", JSON.stringify(d.summary));
	assert.match(d.error.detail, /leads out/);
	assert.ok(!readdirSync(path.join(tandem.data, "datasets/houses")).some((name) => name.endsWith(".part")));

	mkdirSync(path.join(tandem.root, "odd"));
	writeFileSync(Buffer.concat([Buffer.from(`${tandem.root}/odd/`), Buffer.from([0xff, 0xfe])]), CSV);
	assert.match(problem(assert, await tandem.post("/datasets", { name: "odd", folder: "odd" }), 422).errors[0].detail, /UTF-8/);
});

// ---- Uploads ----

test("files are uploaded in a stream, replaced while uploading, and prepared when all are there", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await register(tandem, { name: "houses" })).state, "uploading");
	assert.equal((await register(tandem, { name: "houses" }, 200)).state, "uploading", "without files there is nothing to prepare");
	problem(assert, await tandem.post("/jobs", onTable("houses")), 422);
	problem(assert, await tandem.post("/datasets/houses/prepare", {}), 422);
	assert.equal((await put(tandem, "houses", "My houses (1).csv", "draft")).status, 201);
	const r = await put(tandem, "houses", "My houses (1).csv", CSV);
	assert.deepEqual([r.status, r.json.state, r.json.bytes], [201, "uploading", CSV.length]);
	assert.deepEqual(r.json.files.map((f) => [f.name, f.sha256]), [["My houses (1).csv", sha256(CSV)]]);
	assert.equal((await tandem.post("/datasets/houses/prepare", {})).json.state, "preparing");
	const d = await settled(tandem, "houses");
	assert.deepEqual([d.state, d.kind], ["ready", "table"]);
	problem(assert, await put(tandem, "houses", "more.csv", CSV), 409);
	await tandem.finish(onTable("houses"));
});

test("an upload to a free name registers it, and posting the name says that it is complete", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await put(tandem, "direct", "a.csv", CSV)).status, 201);
	assert.equal((await tandem.post("/datasets", { name: "direct", format: { type: "table" } })).json.state, "preparing");
	const d = await settled(tandem, "direct");
	assert.deepEqual([d.state, d.format], ["ready", { type: "table" }]);
	problem(assert, await put(tandem, "mnist", "a.gz", "x"), 409);
});

test("an upload that failed gets another file, and keeps its format", async (t) => {
	const tandem = await daemon(t);
	const at = await register(tandem, { name: "mended", format: { type: "table", columns: { price: "number" } } });
	assert.match(at.hint, /no files: PUT them to \/api\/v1\/datasets\/mended\/files\/FILE.*"url" or "folder"/);
	assert.equal((await put(tandem, "mended", "a.csv", "price,n\nmuch,1\n")).status, 201);
	assert.match((await register(tandem, { name: "mended" }, 200)).state, /preparing/);
	const failed = await settled(tandem, "mended");
	assert.deepEqual([failed.state, failed.hint], ["failed", undefined]);
	assert.match(failed.error.detail, /"much" is no number/);
	const r = await put(tandem, "mended", "a.csv", "price,n\n7,1\n");
	assert.deepEqual([r.status, r.json.state, r.json.error, r.json.files.length], [201, "uploading", null, 1]);
	assert.match(r.json.hint, /POST \{"name":"mended"\}/);
	await register(tandem, { name: "mended" }, 200);
	const d = await settled(tandem, "mended");
	assert.deepEqual([d.state, d.format.columns, d.samples], ["ready", { price: "number" }, { train: 1 }]);
	problem(assert, await put(tandem, "mended", "a.csv", CSV), 409);
});

test("uploads that are empty, too large, badly named or cut off leave nothing behind", async (t) => {
	const tandem = await daemon(t, { "dataset-max-bytes": 2_000_000 });
	const folder = path.join(tandem.data, "datasets/up");
	const left = () => (existsSync(folder) ? readdirSync(folder) : []);
	assert.equal((await put(tandem, "up", "first.csv", CSV)).status, 201);
	problem(assert, await put(tandem, "up", "empty.csv", ""), 422);
	problem(assert, await put(tandem, "up", "large.csv", Buffer.alloc(2_000_001)), 413);
	const chunked = await put(tandem, "up", "large.csv", Buffer.alloc(1_990_000, "a"), { headers: { "content-type": "text/csv" } });
	assert.equal(chunked.status, 201, "just below");
	problem(assert, await put(tandem, "up", "third.csv", Buffer.alloc(20_000)), 413);
	for (const name of ["..", "../x", "a/b", ".hidden", "pack-0123", "x.part", "a\nb"]) {
		const r = await put(tandem, "up", name, CSV);
		assert.ok([400, 404].includes(r.status), `${name}: ${r.status}`);
	}
	assert.deepEqual(left().sort(), ["first.csv", "large.csv"]);

	// A body without a length that grows past the cap, and one whose sender leaves.
	const { hostname, port } = new URL(tandem.url);
	const send = (head, pieces, stay) => new Promise((resolve) => {
		const s = net.connect(Number(port), hostname, () => {
			s.write(head);
			for (const piece of pieces) s.write(piece);
			if (!stay) setTimeout(() => s.destroy(), 200);
		});
		let answer = "";
		s.on("data", (d) => { answer += d; if (answer.includes("\r\n\r\n")) s.destroy(); });
		s.on("error", () => {}).on("close", () => resolve(answer));
	});
	const head = (extra) => `PUT /api/v1/datasets/up/files/cut.csv HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: text/csv\r\n${extra}\r\n\r\n`;
	const chunk = `${(100_000).toString(16)}\r\n${"x".repeat(100_000)}\r\n`;
	assert.match(await send(head("Transfer-Encoding: chunked"), [...Array(25).fill(chunk), "0\r\n\r\n"], true), /^HTTP\/1\.1 413/);
	assert.equal(await send(head("Content-Length: 5000"), ["only this"], false), "");
	await eventually("the piece goes", () => left().length === 2);
	assert.deepEqual(left().sort(), ["first.csv", "large.csv"]);
});

test("a connection that ends together with half a file is noticed at once", async (t) => {
	const tandem = await daemon(t);
	const { hostname, port } = new URL(tandem.url);
	const half = `PUT /api/v1/datasets/cut/files/a.csv HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 100000\r\n\r\n${"x".repeat(50_000)}`;
	for (let i = 0; i < 10; i++)
		await new Promise((resolve) => { const s = net.connect(Number(port), hostname, () => s.end(half)).on("close", resolve).on("error", () => {}).resume(); });
	await eventually("what came is gone", () => !readdirSync(path.join(tandem.data, "datasets/cut")).length);
	problem(assert, await tandem.get("/datasets/cut"), 404);
});

test("what a killed daemon had begun to receive is gone after its next start", async (t) => {
	const tandem = await daemon(t);
	assert.equal((await put(tandem, "up", "a.csv", CSV)).status, 201);
	const { hostname, port } = new URL(tandem.url);
	const s = net.connect(Number(port), hostname);
	s.on("error", () => {});
	s.write(`PUT /api/v1/datasets/up/files/b.csv HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 500000\r\n\r\n${"x".repeat(100_000)}`);
	const folder = path.join(tandem.data, "datasets/up");
	await eventually("a part of it is there", () => readdirSync(folder).length === 2);
	await tandem.kill();
	await tandem.up();
	s.destroy();
	assert.deepEqual(readdirSync(folder), ["a.csv"]);
	assert.deepEqual((await tandem.json("/datasets/up")).files.map((f) => f.name), ["a.csv"]);
});
