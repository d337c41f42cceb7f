// Models: weights by name, uploaded or from a job, and jobs that begin from them.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { endless, problem, quick, sha256, start } from "./harness.mjs";

const skip = !existsSync("/usr/share/datasets/fashion-mnist") && "dataset-fashion-mnist is not installed";

// A safetensors file of {name: [dtype, shape, bytes]}.
function weights(tensors) {
	let at = 0;
	const header = Object.fromEntries(Object.entries(tensors).map(([name, [dtype, shape, n]]) => [name, { dtype, shape, data_offsets: [at, (at += n)] }]));
	const text = Buffer.from(JSON.stringify(header));
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(text.length));
	return Buffer.concat([length, text, Buffer.alloc(at, 7)]);
}

const put = (tandem, name, body, type = "application/octet-stream") => tandem.request("PUT", `/models/${name}`, { body, headers: { "content-type": type } });

test("an uploaded model is listed, described, fetched whole or in parts, replaced and deleted", async (t) => {
	const tandem = await start(t);
	const bytes = weights({ "0.weight": ["F32", [2, 3], 24], "0.bias": ["F32", [2], 8] });
	assert.deepEqual((await tandem.json("/models")).items, []);
	const r = await put(tandem, "net", bytes);
	assert.equal(r.status, 201, r.text);
	assert.match(r.headers.location, /\/api\/v1\/models\/net$/);
	const m = await tandem.json("/models/net");
	assert.deepEqual([m.bytes, m.sha256, m.source], [bytes.length, sha256(bytes), { upload: true }]);
	assert.deepEqual(m.tensors, [{ name: "0.weight", dtype: "F32", shape: [2, 3] }, { name: "0.bias", dtype: "F32", shape: [2] }]);
	assert.deepEqual((await tandem.json("/models")).items.map((i) => i.name), ["net"]);

	for (const [where, options] of [["/models/net/weights"], ["/models/net", { headers: { accept: "application/octet-stream" } }]]) {
		const file = await tandem.get(where, options);
		assert.deepEqual(file.bytes, bytes);
		assert.equal(file.headers.etag, `"${sha256(bytes)}"`);
	}
	const part = await tandem.get("/models/net/weights", { headers: { range: "bytes=8-11" } });
	assert.deepEqual([part.status, part.bytes], [206, bytes.subarray(8, 12)]);
	assert.equal((await tandem.get("/models/net/weights", { headers: { "if-none-match": `"${sha256(bytes)}"` } })).status, 304);
	assert.equal((await tandem.request("HEAD", "/models/net")).status, 200);

	const other = weights({ w: ["I64", [], 8] });
	assert.equal((await put(tandem, "net", other)).status, 201);
	assert.deepEqual((await tandem.get("/models/net/weights")).bytes, other);
	await tandem.restart();
	assert.deepEqual((await tandem.get("/models/net/weights")).bytes, other);
	assert.equal((await tandem.request("DELETE", "/models/net")).status, 204);
	problem(assert, await tandem.get("/models/net"), 404);
	problem(assert, await tandem.request("DELETE", "/models/net"), 404);
	assert.deepEqual(readdirSync(path.join(tandem.data, "models")), []);
});

test("the list is in the order of names, in pages joined by a cursor and a link", async (t) => {
	const tandem = await start(t);
	for (const name of ["c", "a", "d", "b"]) assert.equal((await put(tandem, name, weights({ w: ["F32", [1], 4] }))).status, 201);
	const first = await tandem.get("/models?limit=3");
	assert.deepEqual([first.json.items.map((m) => m.name), first.json.has_more, first.json.next], [["a", "b", "c"], true, "c"]);
	assert.equal(first.headers.link, '</api/v1/models?after=c&limit=3>; rel="next"');
	const last = await tandem.get("/models?limit=3&after=c");
	assert.deepEqual([last.json.items.map((m) => m.name), last.json.has_more, last.headers.link], [["d"], false, undefined]);
	problem(assert, await tandem.get("/models?limit=1001"), 400);
});

test("files that are no weights are refused with the reason, and leave nothing behind", async (t) => {
	const tandem = await start(t);
	const good = weights({ w: ["F32", [1], 4] });
	const rows = [[Buffer.from("hello"), /5 bytes/], [Buffer.alloc(100, 255), /header has/], [good.subarray(0, good.length - 1), /data_offsets/],
		[Buffer.concat([good, Buffer.alloc(1)]), /no tensor/], [weights({ w: ["F99", [1], 4] }), /F99/], [weights({}), /no tensor/]];
	for (const [bytes, says] of rows) assert.match(problem(assert, await put(tandem, "bad", bytes), 422).detail, says);
	problem(assert, await tandem.get("/models/bad"), 404);
	problem(assert, await put(tandem, "..%2fbad", good), 404);
	problem(assert, await put(tandem, ".bad", good), 404);
	assert.deepEqual(readdirSync(path.join(tandem.data, "models")), []);
	assert.ok(!existsSync(path.join(tandem.data, "bad")));
});

test("what a crash has left among the models is gone after the next start", async (t) => {
	const tandem = await start(t);
	assert.equal((await put(tandem, "net", weights({ w: ["F32", [1], 4] }))).status, 201);
	await tandem.stop();
	writeFileSync(path.join(tandem.data, "models/.upload-X"), "x");
	writeFileSync(path.join(tandem.data, "models/orphan.safetensors"), "x");
	await tandem.up();
	assert.deepEqual(readdirSync(path.join(tandem.data, "models")), ["net.safetensors"]);
});

test("a job's weights get a name, and another job begins from them; neither name goes while it is needed", { skip }, async (t) => {
	const tandem = await start(t);
	const spec = quick({ train: { epochs: 1 } });
	const job = await tandem.finish(spec);
	const file = (await tandem.json(`/jobs/${job.id}/artifacts`)).items.find((a) => a.name === "model.safetensors");
	const r = await put(tandem, "first", JSON.stringify({ job: job.id }), "application/json");
	assert.equal(r.status, 201, r.text);
	assert.deepEqual([r.json.sha256, r.json.source], [file.sha256, { job: job.id, checkpoint: "last" }]);
	assert.ok(r.json.tensors.length >= 4);
	problem(assert, await put(tandem, "best", JSON.stringify({ job: job.id, checkpoint: "best" }), "application/json"), 404);
	problem(assert, await put(tandem, "none", JSON.stringify({ job: "01HZZZZZZZZZZZZZZZZZZZZZZZ" }), "application/json"), 404);
	problem(assert, await put(tandem, "none", JSON.stringify({ job: job.id, checkpoint: "middle" }), "application/json"), 422);
	problem(assert, await put(tandem, "none", "{}", "application/json"), 422);

	// With a learning rate of nothing, what it ends with is what it began from.
	const still = { ...spec, optimizer: { type: "sgd", lr: 0 } };
	for (const init_from of [{ model: "first" }, { job: job.id, checkpoint: "last" }]) {
		const again = await tandem.finish({ ...still, init_from });
		const [a, b] = [job.id, again.id].map((id) => readFileSync(path.join(tandem.data, `jobs/${id}/model.safetensors`)));
		assert.equal(sha256(b), sha256(a));
	}
	const { id } = await tandem.submit(endless({ model: spec.model, init_from: { model: "first" } }));
	problem(assert, await tandem.request("DELETE", "/models/first"), 409);
	problem(assert, await put(tandem, "first", weights({ w: ["F32", [1], 4] })), 409);
	await tandem.act(id, "cancel");
	await tandem.until(id, "cancelled");
	assert.equal((await tandem.request("DELETE", "/models/first")).status, 204);
	assert.ok(existsSync(path.join(tandem.data, `jobs/${job.id}/model.safetensors`)), "the job keeps its own");
});
