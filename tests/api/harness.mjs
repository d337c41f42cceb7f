// The real daemon, for tests that talk to it as a client would.
//
// Everything lies in a temporary folder, listens on a free port of the loopback interface, and is gone when the test file ends,
// however it ends.  A test reads like a conversation:
//
//	const tandem = await start(t);
//	const job = await tandem.submit(quick());
//	await tandem.until(job.id, "succeeded");
import { spawn, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export { sleep };
export const root = fileURLToPath(new URL("../..", import.meta.url));
export const build = path.resolve(root, process.env.TANDEM_BUILD ?? "build");
// Sanitizers slow everything down by about this factor; waits are stretched by it, measurements are not taken.
export const patience = /-(address|thread|undefined|paranoid)/.test(build) ? 10 : 1;

const START_MS = 60_000 * patience;
const STOP_MS = 20_000 * patience; // more than --drain-seconds
const JOB_MS = 120_000 * patience;
const REQUEST_MS = 60_000 * patience; // more than the longest ?wait=
const WAIT_MS = 60_000 * patience;
const TERMINAL = new Set(["succeeded", "failed", "cancelled", "timed_out"]);

const daemons = new Set();
process.on("exit", () => { for (const d of daemons) d.killNow(); });
// A signal would end it without an "exit".
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => process.exit(1));

// A job of a second or two on real images: a hidden layer, dropout, shuffling, validation: all that could lose determinism.
export function quick(changes = {}) {
	return {
		name: "quick", project: "tests", seed: 7,
		data: { dataset: "fashion-mnist", batch_size: 64, limit: 4096, split: { validation: 512, by: "end" },
			transforms: [{ type: "normalize", mean: [0.286], std: [0.353] }] },
		model: { layers: ["flatten", { type: "linear", out_features: 32 }, "relu", { type: "dropout", p: 0.2 }, { type: "linear", out_features: 10 }] },
		loss: "cross_entropy",
		optimizer: { type: "adam", lr: 0.002 },
		metrics: ["accuracy"],
		train: { epochs: 2, checkpoint_every: 20 },
		log: { every: 1 },
		resources: { threads: 1, memory_mb: 512 },
		...changes,
	};
}

// The same with convolutions: it takes a few seconds, long enough to be interrupted.
export function convolutional(changes = {}) {
	return quick({
		name: "convolutional",
		model: { layers: [
			{ type: "conv2d", out_channels: 8, kernel_size: 3, padding: 1 }, "relu", { type: "max_pool2d", kernel_size: 2 },
			{ type: "conv2d", out_channels: 8, kernel_size: 3, padding: 1, stride: 2 }, "relu",
			"flatten", { type: "linear", out_features: 10 }] },
		...changes,
	});
}

// All that a job may remember or draw by chance: augmentation, mixup, dropout, running means, clipped gradients of several batches,
// a learning rate that follows a series, the best checkpoint, an early end, histograms.
export function thorough(changes = {}) {
	return quick({
		name: "thorough",
		data: { dataset: "fashion-mnist", batch_size: 32, limit: 2048, split: { validation: 512, by: "stratified" },
			augment: [{ type: "random_crop", size: 28, padding: 2 }, "random_flip", { type: "mixup", alpha: 0.2 }],
			transforms: [{ type: "normalize", mean: [0.286], std: [0.353] }] },
		model: { layers: [
			{ type: "conv2d", out_channels: 8, kernel_size: 3, padding: 1 }, "batch_norm", "relu", { type: "max_pool2d", kernel_size: 2 },
			"flatten", { type: "dropout", p: 0.2 }, { type: "linear", out_features: 10 }] },
		optimizer: { type: "adam", lr: 0.02, groups: [{ params: ["0.*"], lr: 0.001 }] },
		schedule: { type: "plateau", metric: "val/loss", patience: 1, factor: 0.5, warmup_steps: 5 },
		metrics: ["accuracy", "f1"],
		train: { epochs: 10, accumulate: 2, clip_norm: 1, validate_every: 10, checkpoint_every: 7,
			early_stopping: { metric: "val/f1", patience: 3 }, keep: { best: "val/accuracy" } },
		log: { every: 3, histograms_every: 10, images: 9 },
		...changes,
	});
}

// Long enough not to end before a test does something to it; tests cancel it.
export const endless = (changes = {}) => convolutional({ name: "endless", train: { epochs: 10_000, checkpoint_every: 20 }, ...changes });

// Ask CHECK until it answers something true, and resolve to that.
export async function eventually(what, check, ms = WAIT_MS) {
	for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
		const found = await check();
		if (found) return found;
	}
	throw new Error(`not within ${ms} ms: ${what}`);
}

// Do ONCE, which kills or pauses a job and resolves to it as it ended, until it was interrupted by that: who comes too
// late, on a machine that has other things to do, finds it over.
export async function interrupted(once) {
	for (let i = 0; i < 10; i++) {
		const end = await once();
		if (end.attempt >= 2) return end;
	}
	throw new Error("ten jobs were over before they could be interrupted");
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

export class Tandem {
	constructor(options = {}) {
		this.options = options;
		this.folder = mkdtempSync(path.join(tmpdir(), "tandem-test-"));
		this.data = path.join(this.folder, "data");
		this.errors = ""; // what the daemon wrote on standard error, all its lives
		this.token = options.token;
		daemons.add(this);
	}

	async up() {
		const flags = { listen: "127.0.0.1:0", "data-dir": this.data, workers: 4, threads: 4, ...this.options.flags };
		const args = Object.entries(flags).flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, String(value)]));
		const [program, ...before] = [...(this.options.wrap ?? []), path.join(build, "tandemd")];
		this.process = spawn(program, [...before, ...args], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...this.options.env } });
		this.gone = new Promise((resolve) => this.process.on("exit", (code, signal) => resolve({ code, signal })));
		this.process.stderr.setEncoding("utf8").on("data", (text) => { this.errors += text; });
		this.said = new Promise((resolve) => this.process.stderr.on("close", resolve)); // all of it is in ERRORS
		let out = "";
		this.address = await new Promise((resolve, reject) => {
			const late = setTimeout(() => reject(new Error(`no listening line within ${START_MS} ms; standard error:\n${this.errors}`)), START_MS);
			this.process.stdout.setEncoding("utf8").on("data", (text) => {
				const line = /^listening on (http:\/\/\S+)$/m.exec((out += text));
				if (line) { clearTimeout(late); resolve(line[1]); }
			});
			this.gone.then(({ code, signal }) => { clearTimeout(late); reject(new Error(`tandemd left (${code ?? signal}):\n${this.errors}`)); });
		});
		// Bound to every interface, it is still reached by the loopback one.
		this.url = this.address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
		this.pid = this.options.wrap ? childrenOf(this.process.pid)[0] : this.process.pid;
		return this;
	}

	// SIGTERM, as an init system would; resolves to {code, signal}.
	async stop() {
		if (!this.process || this.process.exitCode !== null || this.process.signalCode !== null) return this.gone;
		process.kill(this.pid, "SIGTERM");
		const late = setTimeout(() => this.process.kill("SIGKILL"), STOP_MS);
		const how = await this.gone;
		clearTimeout(late);
		return how;
	}

	// As a crash would: nothing is said goodbye to.
	async kill() {
		process.kill(this.pid, "SIGKILL");
		return this.gone;
	}

	async restart() {
		await this.stop();
		return this.up();
	}

	// The process ids of its workers, whether they run a job, wait for one, or check.
	// One that outlived its daemon is no child of the next; its socket's path tells whose it is.
	workers() { return [...new Set([...childrenOf(this.pid), ...processesNaming(this.folder).filter((p) => p !== this.pid && p !== this.process.pid)])]; }

	// A worker may leave by itself between being listed and being killed, above all when its daemon is gone.
	killWorkers(pids = this.workers()) { for (const pid of pids) signal(pid, "SIGKILL"); }

	killNow() {
		if (this.process) this.killWorkers([this.pid, ...this.workers()]);
		rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
		daemons.delete(this);
	}

	// Stop for good; fails the test when the daemon did not leave cleanly.
	async close() {
		const how = this.process ? await this.stop() : {};
		this.killNow();
		await this.said;
		const report = /ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:/.exec(this.errors);
		if (report) throw new Error(`a sanitizer has spoken:\n${this.errors.slice(report.index, report.index + 4000)}`);
		if (how.code !== 0 && how.signal !== "SIGKILL") throw new Error(`tandemd left with ${how.code ?? how.signal}:\n${this.errors.slice(-4000)}`);
	}

	// ---- Requests ----

	// Any request: path below /api/v1 unless it begins with "//", which stands for the root.  Body: bytes or text as they are, others as JSON.
	// Resolves to {status, headers, text, bytes, json}.
	request(method, where, { body, headers = {}, token = this.token, ms = REQUEST_MS } = {}) {
		const given = typeof body === "string" || body instanceof Uint8Array;
		const payload = body === undefined || given ? body : JSON.stringify(body);
		const all = { ...(payload !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
			...(token && { authorization: `Bearer ${token}` }), ...headers };
		// As curl does: a large body is announced, and sent when the server wants it.
		const large = payload !== undefined && Buffer.byteLength(payload) > 1 << 20;
		if (large) all.expect = "100-continue";
		return new Promise((resolve, reject) => {
			const q = http.request(this.url + target(where), { method, headers: all, agent: false, timeout: ms }, (r) => {
				const parts = [];
				r.on("data", (part) => parts.push(part));
				r.on("error", reject);
				r.on("end", () => {
					const bytes = Buffer.concat(parts);
					q.destroy();
					resolve({ status: r.statusCode, headers: r.headers, bytes, get text() { return bytes.toString(); },
						get json() { return JSON.parse(bytes.toString()); } });
				});
			});
			q.on("timeout", () => q.destroy(new Error(`${method} ${where}: no answer within ${ms} ms`)));
			q.on("error", reject);
			if (large) q.on("continue", () => q.end(payload)).flushHeaders();
			else q.end(payload);
		});
	}

	get(where, options) { return this.request("GET", where, options); }
	post(where, body, options) { return this.request("POST", where, { body, ...options }); }

	// The JSON at WHERE, which must be there.
	async json(where, options) {
		const r = await this.get(where, options);
		if (r.status !== 200) throw new Error(`GET ${where}: ${r.status} ${r.text}`);
		return r.json;
	}

	// ---- Jobs ----

	async submit(spec, options) {
		const r = await this.post("/jobs", spec, options);
		if (r.status !== 201) throw new Error(`POST /jobs: ${r.status} ${r.text}`);
		return r.json;
	}

	async act(id, verb) {
		const r = await this.post(`/jobs/${id}/${verb}`);
		if (r.status >= 300) throw new Error(`POST /jobs/${id}/${verb}: ${r.status} ${r.text}`);
		return r.json;
	}

	job(id) { return this.json(`/jobs/${id}`); }

	// Wait for one of STATES (a name or several); a terminal state that is not among them fails at once, with the job's log.
	async until(id, states, ms = JOB_MS) {
		const wanted = [states].flat();
		for (const end = Date.now() + ms; Date.now() < end; await sleep(30)) {
			const job = await this.job(id);
			if (wanted.includes(job.state)) return job;
			if (TERMINAL.has(job.state))
				throw new Error(`job ${id} is ${job.state}, not ${wanted}: ${job.reason}\n${JSON.stringify(job.error)}\n${(await this.get(`/jobs/${id}/log`)).text}`);
		}
		throw new Error(`job ${id} was not ${wanted} within ${ms} ms, but ${(await this.job(id)).state}`);
	}

	async untilStep(id, step, ms = JOB_MS) {
		for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
			const job = await this.job(id);
			if ((job.progress?.step ?? 0) >= step || TERMINAL.has(job.state)) return job;
		}
		throw new Error(`job ${id} did not reach step ${step} within ${ms} ms`);
	}

	// The names of all files in a job's folder, once the checkpoints are those that are kept: a file goes after its row.
	async files(id) {
		const kept = (await this.json(`/jobs/${id}/checkpoints`)).items.map((c) => c.name);
		const names = () => readdirSync(path.join(this.data, "jobs", id)).sort();
		const old = () => names().filter((name) => name.startsWith("last-") && !kept.includes(name));
		await eventually(`the older checkpoints of ${id} go`, () => old().length === 0);
		return names();
	}

	async finish(spec) { return this.until((await this.submit(spec)).id, "succeeded"); }

	// All raw points of a series, as the CSV export gives them: [{step, value}] with value as text, so that bits are compared.
	async points(id, name) {
		const r = await this.get(`/jobs/${id}/metrics?name=${encodeURIComponent(name)}`, { headers: { accept: "text/csv" } });
		if (r.status !== 200) throw new Error(`metrics ${name}: ${r.status} ${r.text}`);
		const [head, ...rows] = r.text.trim().split(/\r?\n/).map((line) => line.split(","));
		const [step, value] = [head.indexOf("step"), head.indexOf("value")];
		return rows.map((row) => ({ step: Number(row[step]), value: row[value] }));
	}

	// What two runs of the same job must share to the last bit: every deterministic series and the sha256 of the weights.
	async fingerprint(id) {
		const series = {};
		for (const s of (await this.json(`/jobs/${id}/metrics`)).items)
			if (s.deterministic) series[s.name] = await this.points(id, s.name);
		const weights = (await this.json(`/jobs/${id}/artifacts`)).items.filter((a) => a.name.endsWith(".safetensors"));
		return { series, weights: Object.fromEntries(weights.map((a) => [a.name, a.sha256])) };
	}

	// An event stream: `for await (const event of tandem.events(...))` gives {id, event, data}; leaving the loop closes it.
	// GREET: begins with nothing, as soon as the server has answered.
	async *events(where, { after, token = this.token, comments = false, greet = false } = {}) {
		const q = http.get(this.url + target(where), { agent: false,
			headers: { accept: "text/event-stream", ...(after !== undefined && { "last-event-id": String(after) }), ...(token && { authorization: `Bearer ${token}` }) } });
		try {
			const r = await new Promise((resolve, reject) => q.on("response", resolve).on("error", reject));
			if (r.statusCode !== 200) throw new Error(`${where}: ${r.statusCode}`);
			if (greet) yield;
			let text = "";
			for await (const part of r.setEncoding("utf8")) {
				text += part;
				for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
					const event = { event: "message", data: "" };
					for (const line of text.slice(0, end).split("\n")) {
						const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
						if (name === "data") event.data += value;
						else if (name === "") event.comment = value;
						else event[name] = value;
					}
					if (event.data) yield { ...event, data: JSON.parse(event.data) };
					else if (comments) yield event;
				}
			}
		} finally {
			q.destroy();
		}
	}

	// The same, once it is open: it gives all that happens from now on.
	async listen(where, options) {
		const events = this.events(where, { ...options, greet: true });
		await events.next();
		return events;
	}
}

// Start a daemon that lives as long as the test (or suite) T.
export async function start(t, options) {
	const tandem = new Tandem(options);
	t.after(() => tandem.close());
	return tandem.up();
}

export function problem(assert, r, status) {
	assert.equal(r.status, status, `expected ${status}, got ${r.status}: ${r.text.slice(0, 500)}`);
	assert.match(r.headers["content-type"] ?? "", /^application\/problem\+json/);
	const p = r.json;
	assert.equal(p.status, status);
	assert.ok(p.title && p.type, "a problem has a type and a title");
	return p;
}

export const have = (program) => {
	try { execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }); return true; } catch { return false; }
};

const target = (where) => (where.startsWith("//") ? where.slice(1) : `/api/v1${where}`);

// Send a process SIGNAL; false: it has gone already.
export function signal(pid, name) {
	try { return process.kill(pid, name); } catch { return false; }
}

const processes = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);

export function readProc(pid, file) {
	try { return readFileSync(`/proc/${pid}/${file}`, "utf8"); } catch { return ""; } // it has gone meanwhile
}

// The parent is the second field after the name, which stands in parentheses and may hold any character.
const parentOf = (pid) => Number(/^.*\) \S (\d+)/s.exec(readProc(pid, "stat"))?.[1]);
const childrenOf = (pid) => processes().filter((p) => parentOf(p) === pid);
const processesNaming = (folder) => processes().filter((p) => p !== process.pid && readProc(p, "cmdline").includes(folder));
