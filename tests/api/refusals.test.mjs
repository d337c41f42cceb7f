// Two hundred ways to be wrong: each is told what is wrong, where, and what would be right; and the daemon stays up.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import test, { before, after, describe } from "node:test";
import { Tandem, convolutional, patience, problem, quick } from "./harness.mjs";

// ---- Specs: [pointer, wrong value, what the fault must say, the pointer that it must name where it is another] ---------

const L = "/model/layers"; // 0 conv2d, 1 relu, 2 max_pool2d, 3 conv2d, 4 relu, 5 flatten, 6 linear
const GONE = Symbol("the member is left out");
const specs = [
	["/name", 5], ["/name", []], ["/name", "x".repeat(5000)],
	["/project", {}], ["/project", false],
	["/tags", "baseline"], ["/tags", [1]], ["/tags", { a: 1 }],
	["/notes", 5],
	["/seed", "7"], ["/seed", 1.5, /<= 9007199254740991/], ["/seed", -1], ["/seed", [7]],
	["/mode", "grpah", /graph/], ["/mode", 1], ["/mode", null],
	["/defaults", "torch", /pytorch/],
	["/priority", "high"], ["/priority", 0.5],
	["/timeout_s", -1], ["/timeout_s", "1h"],
	["/retries", -1], ["/retries", 1e9], ["/retries", true],

	["/data", GONE, /data/, ""], ["/data", null], ["/data", []], ["/data", "fashion-mnist"], ["/data", 5],
	["/data/dataset", GONE, /dataset/, "/data"], ["/data/dataset", 5], ["/data/dataset", "fashion-mist", /fashion-mnist/],
	["/data/dataset", ""], ["/data/dataset", "../../etc/passwd"], ["/data/dataset", "/etc/passwd"],
	["/data/batch_size", 0], ["/data/batch_size", -1], ["/data/batch_size", 1.5], ["/data/batch_size", "64"],
	["/data/batch_size", 1e12], ["/data/batch_size", null], ["/data/batch_size", [64]], ["/data/batch_size", false],
	["/data/limit", -5], ["/data/limit", "all"], ["/data/limit", 0.5],
	["/data/split", 5], ["/data/split", "half"],
	["/data/split/validation", -1], ["/data/split/validation", 1.5], ["/data/split/validation", "tenth"],
	["/data/split/by", "sideways", /random|end/],
	["/data/transforms", { type: "normalize" }], ["/data/transforms/0", 5],
	["/data/transforms/0/type", "normalise", /normalize/], ["/data/transforms/0/std", [0]], ["/data/transforms/0/std", "wide"],
	["/data/transforms/0/mean", "x"], ["/data/transforms/0/mean", ["x"]], ["/data/transforms/0/mena", [1], /mean/],
	["/data/batchsize", 64, /batch_size/], ["/data/nonsense", 1],

	["/model", GONE, /model/, ""], ["/model", null], ["/model", []], ["/model", {}], ["/model", "resnet"],
	["/model/layers", GONE, /layers/, "/model"], ["/model/layers", []], ["/model/layers", {}], ["/model/layers", "relu"],
	["/model/layer", [], /layers/],
	[`${L}/0`, 5], [`${L}/0`, null], [`${L}/0`, []], [`${L}/0`, {}], [`${L}/0`, true], [`${L}/0/type`, 5],
	[`${L}/5`, "flaten", /flatten/], [`${L}/1`, "Relu", /relu/], [`${L}/6/type`, "lineer", /linear/], [`${L}/0/type`, "conv2", /conv2d/],
	[`${L}/0/type`, "quantum_attention"], [`${L}/2/type`, "maxpool2d", /max_pool2d/], [`${L}/1`, ""],
	[`${L}/0/out_channels`, GONE, /out_channels/, `${L}/0`], [`${L}/0/out_channels`, 0], [`${L}/0/out_channels`, -8], [`${L}/0/out_channels`, 1e15],
	[`${L}/0/out_channels`, "8"], [`${L}/0/out_channels`, 8.5], [`${L}/0/out_channels`, null],
	[`${L}/0/kernel_size`, GONE, /kernel_size/, `${L}/0`], [`${L}/0/kernel_size`, 0], [`${L}/0/kernel_size`, -3], [`${L}/0/kernel_size`, "3"],
	[`${L}/0/kernel_size`, [3]], [`${L}/0/kernel_size`, [3, 3, 3]], [`${L}/0/kernel_size`, [3, "3"]], [`${L}/0/kernel_size`, 2.5],
	[`${L}/0/kernel_size`, 99, /28|99/, L], [`${L}/0/kernel_size`, [3, 64], /64|28/, L], [`${L}/2/kernel_size`, 64, /64|28/, L],
	[`${L}/0/kernel_sise`, 3, /kernel_size/], [`${L}/0/filters`, 3], [`${L}/0/in_channels`, 3, /leave "in_channels" out/], [`${L}/6/in_features`, 784, /leave "in_features" out/],
	[`${L}/0/stride`, 0], [`${L}/0/stride`, -1], [`${L}/0/stride`, "2"],
	[`${L}/0/padding`, -1], [`${L}/0/padding`, 1.5], [`${L}/0/padding`, {}],
	[`${L}/0/bias`, "yes"], [`${L}/0/bias`, 1],
	[`${L}/6/out_features`, GONE, /out_features/, `${L}/6`], [`${L}/6/out_features`, 0], [`${L}/6/out_features`, -10], [`${L}/6/out_features`, "ten"],
	[`${L}/6/out_features`, 10.5], [`${L}/6/out_features`, 1e15], [`${L}/6/out_features`, [10]], [`${L}/6/out_feature`, 10, /out_features/],
	[`${L}/6/out_features`, 3, /10|class/, ""],
	[`${L}/1`, { type: "dropout", p: 1.5 }, null, `${L}/1/p`], [`${L}/1`, { type: "dropout", p: -0.1 }, null, `${L}/1/p`],
	[`${L}/1`, { type: "dropout", p: "half" }, null, `${L}/1/p`], [`${L}/1`, { type: "relu", slope: 0.1 }, null, `${L}/1/slope`],
	[`${L}/1`, "flatten", /conv2d|max_pool2d|rank|shape|\[/, L],

	["/loss", GONE, /loss/, ""], ["/loss", "crossentropy", /cross_entropy/], ["/loss", 3], ["/loss", null], ["/loss", []], ["/loss", { type: "cross_entropi" }, /cross_entropy/, "/loss"],
	["/optimizer", "adamm", /adam/], ["/optimizer", 5], ["/optimizer", {}], ["/optimizer", []],
	["/optimizer/type", "Sgd", /sgd/], ["/optimizer/type", 5],
	["/optimizer/lr", -1], ["/optimizer/lr", "0.1"], ["/optimizer/lr", null], ["/optimizer/lr", [0.1]], ["/optimizer/lr", true],
	["/optimizer/betas", [0.9]], ["/optimizer/betas", [2, 0.999]], ["/optimizer/betas", 0.9], ["/optimizer/betas", [0.9, "x"]],
	["/optimizer/eps", -1], ["/optimizer/weight_decay", -0.1], ["/optimizer/weightdecay", 0.1, /weight_decay/], ["/optimizer/learning", 0.1],
	["/optimizer", { type: "sgd", lr: 0.1, momentum: -1 }, null, "/optimizer/momentum"], ["/optimizer", { type: "sgd", lr: 0.1, nesterov: 3 }, null, "/optimizer/nesterov"],

	["/metrics", "accuracy"], ["/metrics", ["acuracy"], /accuracy/, "/metrics/0"], ["/metrics", [5], null, "/metrics/0"],
	["/train", 5], ["/train", []],
	["/train/epochs", 0], ["/train/epochs", -1], ["/train/epochs", 1.5], ["/train/epochs", "5"], ["/train/epochs", 1e15],
	["/train/epoch", 5, /epochs/], ["/train/checkpoint_every", -1], ["/train/checkpoint_every", "often"],
	["/log/every", 0], ["/log/every", -1], ["/log/every", "x"], ["/log", 10],
	["/resources", 1], ["/resources/threads", 0], ["/resources/threads", -1], ["/resources/threads", 1.5], ["/resources/threads", "all"],
	["/resources/threads", 1000, /1000/], ["/resources/memory_mb", -1], ["/resources/memory_mb", 1e9], ["/resources/memory_mb", "1G"], ["/resources/device", "toaster"],
	["/optimiser", { type: "adam" }, /optimizer/], ["/modle", {}, /model/], ["/batch_size", 64], ["/__proto__x", 1], ["/", 1],
];

// ---- Bodies that are no JSON, or not the JSON that they seem --------------------------------------------------------------

const good = JSON.stringify(quick());
const bytes = (...parts) => Buffer.concat(parts.map((p) => Buffer.from(p)));
const bodies = {
	"nothing": "", "white space": " \n ", "null": "null", "a list": "[]", "a number": "42", "a string": '"job"', "true": "true",
	"an open brace": "{", "a job that is cut off": good.slice(0, -20), "bytes after the end": good + " x", "two jobs": good + good,
	"a comma at the end": '{"name": "x",}', "single quotes": "{'name': 'x'}", "bare names": "{name: 1}", "a comment": "{/* */}",
	"NaN": '{"seed": NaN}', "Infinity": '{"seed": -Infinity}', "a leading zero": '{"seed": 007}', "a plus sign": '{"seed": +7}', "hexadecimal": '{"seed": 0x7}',
	"a point without digits": '{"seed": 1.}', "no value": '{"seed": }', "a missing colon": '{"seed" 7}', "a missing comma": '{"seed": 7 "mode": "graph"}',
	"a name twice": good.replace('"seed":7', '"seed":7,"seed":8'), "a name twice, deeper": good.replace('"lr":', '"lr":1,"lr":'),
	"a zero character": '{"name": "a\\u0000b"}', "a zero byte": bytes('{"name": "a', [0], 'b"}'), "a lone surrogate": '{"name": "\\ud800"}',
	"a raw line break in a string": '{"name": "a\nb"}', "a wrong escape": '{"name": "\\x41"}',
	"a byte that is never UTF-8": bytes('{"name": "', [0xff], '"}'), "a cut UTF-8 sequence": bytes('{"name": "', [0xe2, 0x82], '"}'),
	"an overlong UTF-8 sequence": bytes('{"name": "', [0xc0, 0xaf], '"}'), "a surrogate in UTF-8": bytes('{"name": "', [0xed, 0xa0, 0x80], '"}'),
	"beyond Unicode": bytes('{"name": "', [0xf5, 0x80, 0x80, 0x80], '"}'),
	"an integer that no double holds": good.replace('"seed":7', '"seed":9007199254740993'), "a number beyond all": '{"seed": 1e999}',
	"10,000 brackets": "[".repeat(10_000), "10,000 brackets, closed": "[".repeat(10_000) + "]".repeat(10_000),
	"a thousand nested objects": '{"a":'.repeat(1000) + "1" + "}".repeat(1000), "a thousand nested layers": nested(1000),
	"a name of ten megabytes": `{"name": "${"x".repeat(10 << 20)}"}`, "ten megabytes of space": " ".repeat(10 << 20), "a million numbers": `{"tags": [${"1,".repeat(1_000_000)}1]}`,
};
function nested(depth) {
	return `{"data":{"dataset":"fashion-mnist"},"loss":"cross_entropy","model":{"layers":${'[{"type":"sequential","layers":'.repeat(depth)}["relu"]${"}]".repeat(depth)}}}`;
}

// ---- Requests: [status, method, path, options] --------------------------------------------------------------------------------

const NOBODY = "01HZZZZZZZZZZZZZZZZZZZZZZZ"; // a well-formed id that nothing has
const json = { body: {} };
const type = (value) => ({ body: good, headers: { "content-type": value } });
const requests = [
	...["", "/events", "/log", "/metrics", "/metrics?name=train/loss", "/graph", "/report", "/checkpoints", "/artifacts", "/artifacts/x", "/artifacts/..%2f..%2ftandem.db"]
		.map((tail) => [404, "GET", `/jobs/${NOBODY}${tail}`]),
	...["cancel", "pause", "resume", "retry"].map((verb) => [404, "POST", `/jobs/${NOBODY}/${verb}`]),
	[404, "DELETE", `/jobs/${NOBODY}`], [404, "PATCH", `/jobs/${NOBODY}`, { body: { name: "x" } }],
	[404, "GET", "/jobs/nonsense"], [404, "GET", "/jobs/%00"], [404, "GET", `/jobs/${"x".repeat(500)}`], [404, "GET", "/jobs/'%20OR%201=1"],
	[404, "GET", "/nothing"], [404, "POST", "/nothing", json], [404, "GET", "//api/v2/jobs"], [404, "GET", "//api"], [404, "GET", "/examples/none"], [404, "GET", "/jobs/../../etc/passwd"],
	[405, "PUT", "/jobs", json], [405, "DELETE", "/jobs"], [405, "POST", `/jobs/${NOBODY}`, json], [405, "GET", `/jobs/${NOBODY}/cancel`], [405, "DELETE", "/system"],
	[405, "POST", "/openapi.json", json], [405, "PATCH", "/examples", json], [405, "POST", "//healthz", json], [405, "PUT", "/schema/job.json", json],
	[415, "POST", "/jobs", type("application/xml")], [415, "POST", "/jobs", type("text/plain")], [415, "POST", "/jobs", type("multipart/form-data; boundary=x")],
	[415, "POST", "/jobs", { body: "name=x&seed=7", headers: { "content-type": "application/x-www-form-urlencoded" } }],
	[400, "GET", "/jobs?limit=0"], [400, "GET", "/jobs?limit=-1"], [400, "GET", "/jobs?limit=100000"], [400, "GET", "/jobs?limit=ten"], [400, "GET", "/jobs?limit="], [400, "GET", "/jobs?limit=99999999999999999999"],
	[400, "GET", "/jobs?lmit=5"], [400, "GET", "/jobs?after=nonsense"], [400, "GET", "/jobs?state=flying"], [400, "GET", "/jobs/compare"], [400, "GET", "/system?verbose=1"],
	[400, "POST", "/jobs?dryrun=1", { body: quick() }], [400, "POST", "/jobs", { body: quick(), headers: { "idempotency-key": "x".repeat(5000) } }],
	[405, "PROPFIND", "/jobs"],
	[400, "GET", `/jobs?${"a=1&".repeat(3_000)}`], // more than libmicrohttpd could keep
	[414, "GET", `/jobs?q=${"a".repeat(20_000)}`],
];

const at = (value, pointer) => pointer.split("/").slice(1).reduce((v, name) => v?.[name], value);

function changed(pointer, wrong) {
	const spec = convolutional();
	const names = pointer.split("/").slice(1);
	const last = names.pop();
	const parent = names.reduce((v, name) => (v[name] ??= {}), spec);
	if (wrong === GONE) delete parent[last];
	else parent[last] = wrong;
	return spec;
}

describe("what is wrong is refused and explained", () => {
	const tandem = new Tandem();
	let pid;
	before(async () => { await tandem.up(); pid = tandem.process.pid; });
	after(() => tandem.close());

	test("there are two hundred of them", () => assert.ok(specs.length + Object.keys(bodies).length + requests.length >= 200, `${specs.length + Object.keys(bodies).length + requests.length}`));

	for (const [pointer, wrong, says, names = pointer] of specs) {
		test(`a spec with ${pointer} ${wrong === GONE ? "left out" : JSON.stringify(wrong).slice(0, 40)}`, async () => {
			const spec = changed(pointer, wrong);
			const text = JSON.stringify(spec, null, 2);
			const p = problem(assert, await tandem.post("/jobs", text), 422);
			const fault = p.errors?.find((f) => f.pointer === names) ?? p.errors?.find((f) => f.pointer.startsWith(names));
			assert.ok(fault, `no fault at "${names}" in ${JSON.stringify(p)}`);
			assert.ok(fault.detail.length > 10 && fault.detail.length < 1000, fault.detail);
			if (says) assert.match(fault.detail, says);
			// The place is that of the value, in the document as it was sent.
			const there = text.split("\n")[fault.line - 1]?.slice(fault.column - 1);
			const value = at(spec, fault.pointer);
			assert.ok(there, `line ${fault.line}, column ${fault.column} is outside the document`);
			if (value !== undefined) assert.ok(there.startsWith(value !== null && typeof value === "object" ? JSON.stringify(value)[0] : JSON.stringify(value)),
				`line ${fault.line}, column ${fault.column} shows ${there.slice(0, 40)}, not ${JSON.stringify(value)}`);
		});
	}

	test("a default that is another field's value is shown", async () => {
		const spec = convolutional(), pool = spec.model.layers.find((l) => l.type === "max_pool2d");
		delete pool.stride;
		const { json } = await tandem.post("/jobs?dry_run=1", spec);
		assert.equal(json.spec.model.layers.find((l) => l.type === "max_pool2d").stride, pool.kernel_size);
	});

	test("a misspelt name that explains a missing one is one fault", async () => {
		const { loss, ...rest } = quick();
		const p = problem(assert, await tandem.post("/jobs", { ...rest, los: loss }), 422);
		assert.deepEqual(p.errors.map((f) => f.pointer), ["/los"]);
		assert.match(p.errors[0].detail, /did you mean "loss"/);
	});

	test("every fault of a spec is named, not only the first", async () => {
		const spec = quick({ seed: "x", loss: "none", optimizer: { type: "adam", lr: -1, bets: 1 } });
		const p = problem(assert, await tandem.post("/jobs", spec), 422);
		assert.deepEqual(p.errors.map((f) => f.pointer).sort(), ["/loss", "/optimizer/bets", "/optimizer/lr", "/seed"]);
	});

	for (const [name, body] of Object.entries(bodies)) {
		test(`a body that is ${name}`, async () => {
			const r = await tandem.post("/jobs", body);
			const p = problem(assert, r, r.status);
			assert.ok(body.length > 5 << 20 ? r.status === 413 : [400, 413, 422].includes(r.status), `${r.status} ${p.detail}`);
			assert.ok((p.detail ?? "").length > 10, "it says why");
		});
	}

	test("a syntax error names its line and column", async () => {
		const p = problem(assert, await tandem.post("/jobs", '{\n  "name": "x",\n  "seed": 7,,\n}'), 400);
		assert.match(JSON.stringify(p), /line"?:? ?3/);
	});

	for (const [status, method, where, options] of requests) {
		test(`${method} ${where.slice(0, 60)} is ${status}`, async () => {
			const r = await tandem.request(method, where, options);
			problem(assert, r, status);
			if (status === 405) assert.ok(r.headers.allow && !r.headers.allow.split(", ").includes(method), `Allow: ${r.headers.allow}`);
		});
	}

	test("a form body is told the command that would work", async () => {
		const r = await tandem.post("/jobs", "name=x", { headers: { "content-type": "application/x-www-form-urlencoded" } });
		assert.match(problem(assert, r, 415).detail, /curl .*(--json|--data-binary|application\/json)/);
	});

	test("a HEAD of what is not there has no body", async () => {
		const r = await tandem.request("HEAD", "/nothing");
		assert.equal(r.status, 404);
		assert.equal(r.bytes.length, 0);
	});

	test("what is not HTTP at all is refused, and closes nobody else's connection", async () => {
		const talk = (text) => new Promise((resolve) => {
			const { hostname, port } = new URL(tandem.url);
			let answer = "";
			const socket = net.connect(Number(port), hostname, () => socket.write(text));
			socket.setTimeout(3000 * patience, () => socket.destroy());
			socket.on("data", (d) => { answer += d; }).on("close", () => resolve(answer)).on("error", () => {});
		});
		const heads = ["GET /\r\n\r\n", "\r\n\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/9.9\r\n\r\n", "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
			"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\nConnection: close\r\n\r\n",
			"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
			`GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(200_000)}\r\n\r\n`, `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`];
		const answers = await Promise.all(heads.map(talk));
		for (const [i, a] of answers.entries()) if (a) assert.match(a, /^HTTP\/1\.[01] [45]\d\d/, JSON.stringify(heads[i].slice(0, 60)));
		assert.equal((await tandem.get("//healthz")).status, 200);
	});

	test("a body that comes a byte at a time, or never, holds up nobody", async () => {
		const slow = http.request(tandem.url + "/api/v1/jobs", { method: "POST", headers: { "content-type": "application/json", "content-length": 1000 } }).on("error", () => {});
		slow.write("{");
		const began = Date.now();
		await tandem.json("/jobs");
		assert.ok(Date.now() - began < 1000 * patience);
		slow.destroy();
	});

	test("and after all that the same daemon trains a job", async () => {
		assert.equal(tandem.process.pid, pid);
		assert.equal(tandem.process.exitCode, null);
		assert.equal((await tandem.json("/jobs?limit=1000")).items.length, 0, "no wrong spec became a job");
		await tandem.finish(quick());
	});
});
