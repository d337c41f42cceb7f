// Who may do what.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { before, after, describe } from "node:test";
import { Tandem, build, endless, problem, quick, start } from "./harness.mjs";

describe("on the loopback interface", () => {
	const tandem = new Tandem();
	before(() => tandem.up());
	after(() => tandem.close());

	test("everybody is let in until the first token is made, and nobody without one afterwards", async () => {
		assert.equal((await tandem.get("/jobs")).status, 200);
		const made = await tandem.post("/tokens", { owner: "ada", scope: "admin", note: "the first" });
		assert.equal(made.status, 201, made.text);
		problem(assert, await tandem.get("/jobs"), 401);
		problem(assert, await tandem.post("/jobs", quick()), 401);
		assert.equal((await tandem.get("//healthz")).status, 200);
		tandem.token = made.json.token;
		assert.equal((await tandem.get("/jobs")).status, 200);
	});

	test("a token is shown once and stored as a hash only", async () => {
		const made = (await tandem.post("/tokens", { owner: "bob", scope: "read" })).json;
		assert.ok(made.token.length >= 32);
		const { items } = await tandem.json("/tokens");
		assert.ok(items.some((t) => t.id === made.id && t.owner === "bob" && t.scope === "read"));
		assert.ok(!JSON.stringify(items).includes(made.token));
		for (const file of ["tandem.db", "tandem.db-wal"])
			if (existsSync(path.join(tandem.data, file))) assert.ok(!readFileSync(path.join(tandem.data, file)).includes(made.token), `${file} holds no token`);
		assert.ok(!tandem.errors.includes(made.token), "the log holds no token");
	});

	test("read reads, run changes its own jobs, admin does all", async () => {
		const token = async (owner, scope) => (await tandem.post("/tokens", { owner, scope })).json.token;
		const [reader, runner, other] = [await token("r", "read"), await token("x", "run"), await token("y", "run")];
		assert.equal((await tandem.get("/jobs", { token: reader })).status, 200);
		problem(assert, await tandem.post("/jobs", quick(), { token: reader }), 403);
		problem(assert, await tandem.get("/tokens", { token: runner }), 403);
		const job = await tandem.submit(endless(), { token: runner });
		assert.equal((await tandem.job(job.id)).owner, "x");
		problem(assert, await tandem.post(`/jobs/${job.id}/cancel`, undefined, { token: reader }), 403);
		problem(assert, await tandem.post(`/jobs/${job.id}/cancel`, undefined, { token: other }), 403);
		problem(assert, await tandem.request("PATCH", `/jobs/${job.id}`, { body: { name: "mine" }, token: other }), 403);
		problem(assert, await tandem.request("DELETE", `/jobs/${job.id}?purge=1`, { token: runner }), 403);
		assert.ok((await tandem.post(`/jobs/${job.id}/cancel`, undefined, { token: runner })).status < 300);
		await tandem.until(job.id, "cancelled");
	});

	test("a revoked or expired token is none", async () => {
		const made = (await tandem.post("/tokens", { owner: "z", scope: "read" })).json;
		assert.equal((await tandem.get("/jobs", { token: made.token })).status, 200);
		assert.ok((await tandem.request("DELETE", `/tokens/${made.id}`)).status < 300);
		problem(assert, await tandem.get("/jobs", { token: made.token }), 401);
		const past = await tandem.post("/tokens", { owner: "z", scope: "read", expires: "2020-01-01T00:00:00.000Z" });
		if (past.status === 201) problem(assert, await tandem.get("/jobs", { token: past.json.token }), 401);
		else problem(assert, past, 422);
	});

	test("a token in the address is no token", async () => {
		const r = await tandem.get(`/jobs?token=${tandem.token}`, { token: null });
		assert.ok(r.status === 401 || r.status === 400, `${r.status}`);
	});

	test("a browser signs in with a cookie that scripts cannot read, and out again", async () => {
		const origin = tandem.url;
		problem(assert, await tandem.post("/session", { token: "wrong" }, { token: null, headers: { origin } }), 401);
		const r = await tandem.post("/session", { token: tandem.token }, { token: null, headers: { origin } });
		assert.ok(r.status < 300, r.text);
		const cookie = r.headers["set-cookie"][0];
		assert.match(cookie, /HttpOnly/i);
		assert.match(cookie, /SameSite=Strict/i);
		assert.ok(!cookie.includes(tandem.token), "the cookie is not the token itself");
		const headers = { cookie: cookie.split(";")[0] };
		assert.equal((await tandem.get("/jobs", { token: null, headers })).status, 200);
		problem(assert, await tandem.post("/jobs?dry_run=1", quick(), { token: null, headers: { ...headers, origin: "http://evil.example" } }), 403);
		assert.equal((await tandem.post("/jobs?dry_run=1", quick(), { token: null, headers: { ...headers, origin } })).status, 200);
		assert.ok((await tandem.request("DELETE", "/session", { token: null, headers: { ...headers, origin } })).status < 300);
		problem(assert, await tandem.get("/jobs", { token: null, headers }), 401);
	});

	test("a page of another origin cannot write, and another Host is not served", async () => {
		problem(assert, await tandem.post("/jobs", quick(), { headers: { origin: "http://evil.example" } }), 403);
		problem(assert, await tandem.post("/jobs", quick(), { headers: { origin: "null" } }), 403);
		const r = await tandem.get("/jobs", { headers: { host: "evil.example" } });
		assert.ok([400, 403, 421].includes(r.status), `Host evil.example got ${r.status}`);
		assert.equal((await tandem.get("/jobs", { headers: { host: "localhost" } })).status, 200);
	});

	test("the dashboard's page says what a browser may load", async () => {
		const r = await tandem.get("//", { token: null });
		assert.equal(r.status, 200);
		assert.match(r.headers["content-security-policy"], /default-src 'self'|default-src 'none'/);
		assert.doesNotMatch(r.headers["content-security-policy"], /unsafe-eval|script-src[^;]*unsafe-inline/);
		assert.equal(r.headers["x-content-type-options"], "nosniff");
	});
});

test("bound to other interfaces, the first start makes an admin token for its owner alone to read", async (t) => {
	const tandem = await start(t, { flags: { listen: "0.0.0.0:0" } });
	const file = path.join(tandem.data, "admin-token");
	assert.equal(statSync(file).mode & 0o777, 0o600);
	const token = readFileSync(file, "utf8").trim();
	problem(assert, await tandem.get("/jobs"), 401);
	problem(assert, await tandem.get("//metrics"), 401);
	assert.equal((await tandem.get("//healthz")).status, 200);
	tandem.token = token;
	assert.equal((await tandem.get("/jobs")).status, 200);
	await tandem.restart();
	assert.equal(readFileSync(file, "utf8").trim(), token, "a second start makes no other");
	assert.equal((await tandem.get("/jobs")).status, 200);
});

test("tandemd token makes, lists and revokes them on the machine itself", async (t) => {
	const tandem = await start(t);
	const tandemd = (...args) => execFileSync(path.join(build, "tandemd"), ["token", ...args, "--data-dir", tandem.data], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
	const made = tandemd("create", "--owner", "ops", "--scope", "admin");
	const token = made.trim().split(/\s+/).find((word) => word.length >= 32);
	assert.ok(token, made);
	tandem.token = token;
	const { items } = await tandem.json("/tokens");
	assert.match(tandemd("list"), new RegExp(items[0].id));
	tandemd("revoke", items[0].id);
	problem(assert, await tandem.get("/tokens", { token }), 401);
});

test("tandemd health is that of the folder that is named, whoever answers at --listen", async (t) => {
	const [tandem, other] = [await start(t), await start(t)];
	const listen = JSON.parse(readFileSync(path.join(other.data, "daemon.json"), "utf8")).url.replace("http://", "");
	const health = (...args) => spawnSync(path.join(build, "tandemd"), ["health", "--listen", listen, ...args], { encoding: "utf8" });
	const named = () => health("--data-dir", tandem.data);
	assert.deepEqual([health().status, named().status], [0, 0]);
	for (const stop of ["stop", "kill"]) {
		await tandem[stop]();
		const gone = named();
		assert.equal(gone.status, 1, `after ${stop}`);
		assert.match(gone.stderr, /no tandemd runs with --data-dir \//);
		await tandem.up();
		assert.equal(named().status, 0);
	}
	assert.equal(health("--data-dir", path.join(tandem.data, "nowhere")).status, 1);
});

test("tandemd token says what is wrong with its folder and its flags, and what the first token means", async (t) => {
	const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-cli-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const tandemd = (...args) => spawnSync(path.join(build, "tandemd"), ["token", ...args, "--data-dir", folder], { encoding: "utf8" });
	const none = tandemd("list");
	assert.equal(none.status, 1);
	assert.match(none.stderr, /there is no Tandem data in .*--data-dir/);
	assert.deepEqual(readdirSync(folder), [], "it makes nothing");
	for (const args of [["create", "--owner", "a", "--scope", "root"], ["create", "--owner", "a"], ["create", "--scope", "run", "--owner"], ["revoke"], ["make"],
		["create", "--owner", "a", "--scope", "run", "--expires", "2001-01-01T00:00:00Z"], ["list", "--nonsense"]]) {
		const r = tandemd(...args);
		assert.equal(r.status, 2, args.join(" "));
		assert.match(r.stderr, /--|expected/);
		assert.doesNotMatch(r.stderr, /document/);
	}
	const tandem = await start(t);
	const there = (...args) => spawnSync(path.join(build, "tandemd"), ["token", ...args, "--data-dir", tandem.data], { encoding: "utf8" });
	const first = there("create", "--owner", "ops", "--scope", "run");
	assert.match(first.stderr, /every request needs a token; make one with --scope admin/);
	assert.doesNotMatch(there("create", "--owner", "ops", "--scope", "admin").stderr, /every request/);
	assert.match(there("list").stdout, /^ID +SCOPE +OWNER +EXPIRES +NOTE\n/);
	for (const file of ["tandem.db", "tandem.db-wal", "daemon.json"]) assert.equal(statSync(path.join(tandem.data, file)).mode & 0o077, 0, file);
});

test("a start that cannot listen makes no database", async (t) => {
	const tandem = await start(t);
	const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-cli-"));
	t.after(() => rmSync(folder, { recursive: true }));
	const { url } = JSON.parse(readFileSync(path.join(tandem.data, "daemon.json"), "utf8"));
	const r = spawnSync(path.join(build, "tandemd"), ["--listen", url.slice("http://".length), "--data-dir", folder], { encoding: "utf8" });
	assert.equal(r.status, 1);
	assert.deepEqual(readdirSync(folder), []);
	const second = spawnSync(path.join(build, "tandemd"), ["--listen", "127.0.0.1:0", "--data-dir", tandem.data], { encoding: "utf8" });
	assert.match(second.stderr, /another tandemd/);
	assert.ok(existsSync(path.join(tandem.data, "daemon.json")), "the second leaves the first one's alone");
});
