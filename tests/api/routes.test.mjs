// Every route of the OpenAPI document, and so of the route table, walked without a token, with a wrong method, an oversized body,
// broken JSON and an unknown id.  A new route is walked without a line changed here.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, problem } from "./harness.mjs";

const METHODS = ["get", "post", "put", "patch", "delete"];

describe("every route", () => {
	const tandem = new Tandem({ flags: { listen: "0.0.0.0:0" } });
	const routes = [];
	let paths;
	before(async () => {
		await tandem.up();
		const { readFileSync } = await import("node:fs");
		tandem.token = readFileSync(`${tandem.data}/admin-token`, "utf8").trim();
		const api = await tandem.json("/openapi.json");
		paths = api.paths;
		assert.match(api.openapi, /^3\.1/);
		for (const [path, item] of Object.entries(api.paths))
			for (const method of METHODS) if (item[method]) routes.push({ path, method: method.toUpperCase(), ...item[method] });
		assert.ok(routes.length >= 25, `${routes.length} routes`);
	});
	after(() => tandem.close());

	const filled = (path) => "/" + path.replace(/\{\w+\}/g, "01HZZZZZZZZZZZZZZZZZZZZZZZ"); // "//..." is the harness's root
	const is_public = (route) => ["/healthz", "/readyz"].includes(route.path) || (route.security?.length === 0);
	const call = (route, options) => tandem.request(route.method, filled(route.path), options);

	test("has a summary, an operation for its method, and its answers described", () => {
		for (const r of routes) {
			assert.ok(r.summary, `${r.method} ${r.path}`);
			assert.ok(Object.keys(r.responses).some((code) => /^2/.test(code)), `${r.method} ${r.path}`);
		}
	});

	test("wants a token, but for the few that are public", async () => {
		const open = [];
		for (const r of routes) {
			const answer = await call(r, { token: null, ...(r.requestBody && { body: {} }) });
			if (is_public(r)) { open.push(`${r.method} ${r.path}`); continue; }
			problem(assert, answer, 401);
			assert.match(answer.headers["www-authenticate"] ?? "", /^Bearer/);
		}
		for (const o of open) assert.match(o, /healthz|readyz|session/, `${o} is open to everybody`);
	});

	test("refuses a token that is none", async () => {
		for (const r of routes) if (!is_public(r)) problem(assert, await call(r, { token: "td_nonsense", ...(r.requestBody && { body: {} }) }), 401);
	});

	test("answers a method that it does not have with 405 and those that it has", async () => {
		for (const [path, item] of Object.entries(paths)) {
			const wrong = METHODS.find((m) => !item[m]);
			if (!wrong) continue;
			const r = await tandem.request(wrong.toUpperCase(), filled(path), ["get", "delete"].includes(wrong) ? {} : { body: {} });
			problem(assert, r, 405);
			for (const m of METHODS.filter((m) => item[m])) assert.match(r.headers.allow, new RegExp(`\\b${m.toUpperCase()}\\b`), `${wrong} ${path}`);
		}
	});

	test("that takes a body refuses one that is too large, or broken", async () => {
		let taken = 0;
		const streamed = (r) => "application/octet-stream" in r.requestBody.content; // of any size, and JSON at most besides
		for (const r of routes.filter((r) => r.requestBody && !streamed(r))) {
			problem(assert, await call(r, { body: Buffer.alloc(64 << 20, 32) }).catch((e) => assert.fail(`${r.method} ${r.path}: ${e.message}`)), 413);
			if ("application/json" in r.requestBody.content) problem(assert, await call(r, { body: "{broken" }), 400);
			taken++;
		}
		assert.ok(taken >= 3, "jobs, tokens and sessions take bodies");
	});

	test("that takes no body refuses one", async () => {
		for (const r of routes.filter((r) => !r.requestBody && r.method !== "GET")) {
			const answer = await call(r, { body: { x: 1 } });
			assert.ok(answer.status >= 400 && answer.status < 500, `${r.method} ${r.path}: ${answer.status}`);
		}
	});

	test("with an id answers one that is unknown with 404", async () => {
		for (const r of routes.filter((r) => r.path.includes("{") && r.method !== "PUT")) { // PUT makes what is unknown
			const answer = await call(r, r.requestBody && { body: {} });
			assert.ok([404, 422].includes(answer.status), `${r.method} ${r.path}: ${answer.status} ${answer.text.slice(0, 200)}`);
			if (!r.requestBody) problem(assert, answer, 404);
		}
	});

	test("refuses a query that it does not know, and names it", async () => {
		for (const r of routes.filter((r) => r.method === "GET" && !r.path.includes("{"))) {
			const answer = await tandem.get(`${filled(r.path)}?no_such_name=1`);
			assert.match(problem(assert, answer, 400).detail, /no_such_name/, r.path);
		}
	});

	test("begins at the index, whose links lead somewhere", async () => {
		for (const root of ["", "/"]) {
			const { links } = await tandem.json(root);
			for (const name of ["openapi", "schema", "examples", "jobs"]) assert.equal((await tandem.get(`/${new URL(links[name]).pathname}`)).status, 200, name);
		}
	});

	test("echoes the request's id, or makes one", async () => {
		assert.equal((await tandem.get("/system", { headers: { "x-request-id": "abc-1" } })).headers["x-request-id"], "abc-1");
		assert.ok((await tandem.get("/system")).headers["x-request-id"]);
		const evil = await tandem.get("/system", { headers: { "x-request-id": "x".repeat(3000) } });
		assert.ok((evil.headers["x-request-id"] ?? "").length < 200);
	});
});
