// Event streams: nothing is lost, nothing comes twice, and nobody waits for anybody.
import assert from "node:assert/strict";
import http from "node:http";
import test, { before, after, describe } from "node:test";
import { Tandem, endless, patience, quick, sleep } from "./harness.mjs";

const CLIENTS = 64, LISTERS = 100;

describe("the events of a job", () => {
	const tandem = new Tandem();
	let id, live;
	before(async () => {
		await tandem.up();
		id = (await tandem.submit(quick())).id;
		live = [];
		for await (const e of tandem.events(`/jobs/${id}/events`)) {
			live.push(e);
			if (e.event === "state" && (e.data.to ?? e.data.state) === "succeeded") break;
		}
	});
	after(() => tandem.close());

	const losses = (events) => events.filter((e) => e.event === "metrics" && e.data.series === "train/loss").flatMap((e) => e.data.points.map((p) => p[0]));
	// All events after ID up to the end of the job.
	const replay = async (after) => {
		const events = [];
		for await (const e of tandem.events(`/jobs/${id}/events`, { after })) {
			events.push(e);
			if (e.event === "state" && (e.data.to ?? e.data.state) === "succeeded") break;
		}
		return events;
	};

	test("came live, each kind of them, with ids that grow", () => {
		const kinds = new Set(live.map((e) => e.event));
		for (const kind of ["state", "metrics", "log", "checkpoint", "artifact", "progress"]) assert.ok(kinds.has(kind), `${kind} in ${[...kinds]}`);
		const ids = live.map((e) => Number(e.id));
		for (let i = 1; i < ids.length; i++) assert.ok(ids[i] > ids[i - 1], `${ids[i - 1]} before ${ids[i]}`);
	});

	test("held every point once", async () => {
		const { n_steps } = (await tandem.job(id)).progress;
		assert.deepEqual(losses(live), Array.from({ length: n_steps }, (_, i) => i + 1));
	});

	test("come again from any of them by Last-Event-ID, without gap or double", async () => {
		const ids = live.map((e) => e.id);
		for (const cut of [0, 1, Math.floor(live.length / 2), live.length - 2]) {
			const rest = await replay(live[cut].id);
			// Progress is a state, not a history: the latest stands for those before.
			const lasting = (list) => list.filter((e) => e.event !== "progress").map((e) => e.id);
			assert.deepEqual(lasting(rest), lasting(live.slice(cut + 1)), `from event ${cut} of ${ids.length}`);
		}
	});

	test("end by themselves, with an event that says so, once all is sent", { timeout: 20_000 }, async () => {
		const events = [];
		for await (const e of tandem.events(`/jobs/${id}/events`)) events.push(e);
		assert.equal(events.at(-1).event, "end");
		assert.deepEqual(losses(events), losses(live));
	});

	test("survive a restart of the daemon under the same ids", async () => {
		const before_restart = (await replay(0)).map((e) => [e.id, e.event]);
		await tandem.restart();
		assert.deepEqual((await replay(0)).map((e) => [e.id, e.event]), before_restart);
	});

	test("go on from now when the id is of another data folder, whose numbers were larger", async () => {
		const events = await tandem.listen("/events", { after: 1e12 });
		await tandem.request("PATCH", `/jobs/${id}`, { body: { notes: "here" } });
		assert.equal((await events.next()).value.event, "job");
		await events.return();
	});

	test("are refused when the id is none", async () => {
		const r = await tandem.get(`/jobs/${id}/events`, { headers: { "last-event-id": "yesterday" } });
		assert.equal(r.status, 400);
	});
});

describe("with many listeners", () => {
	const tandem = new Tandem();
	let job;
	before(async () => {
		await tandem.up();
		job = await tandem.submit(endless());
		await tandem.untilStep(job.id, 1);
	});
	after(() => tandem.close());

	test(`${CLIENTS} on event streams hear every step while ${LISTERS} others list jobs at once`, async () => {
		const first = (await tandem.job(job.id)).progress.step + 5, last = first + 30;
		const listeners = Array.from({ length: CLIENTS }, async () => {
			const heard = [];
			for await (const e of tandem.events(`/jobs/${job.id}/events`)) {
				if (e.event === "metrics" && e.data.series === "train/loss") heard.push(...e.data.points.map((p) => p[0]));
				if (heard.at(-1) >= last) return heard;
			}
		});
		const times = await Promise.all(Array.from({ length: LISTERS }, async () => {
			let worst = 0;
			for (let i = 0; i < 5; i++) {
				const began = performance.now();
				assert.equal((await tandem.get("/jobs")).status, 200);
				worst = Math.max(worst, performance.now() - began);
			}
			return worst;
		}));
		assert.ok(Math.max(...times) < 5000 * patience, `the slowest list took ${Math.max(...times)} ms`);
		for (const heard of await Promise.all(listeners)) {
			const window = heard.filter((s) => s >= first && s <= last);
			assert.deepEqual(window, Array.from({ length: last - first + 1 }, (_, i) => first + i));
		}
	});

	test("clients that vanish are noticed, and those that do not read hold up nobody", async () => {
		const held = Array.from({ length: 32 }, () => http.get(`${tandem.url}/api/v1/jobs/${job.id}/events`, { agent: false }).on("error", () => {}).on("response", (r) => r.pause()));
		await sleep(500);
		const step = (await tandem.job(job.id)).progress.step;
		await tandem.untilStep(job.id, step + 5);
		for (const q of held) q.destroy();
		const began = performance.now();
		assert.equal((await tandem.get("/jobs")).status, 200);
		assert.ok(performance.now() - began < 1000 * patience);
	});

	test("a log that is followed goes on while the job does", async () => {
		const text = await new Promise((resolve, reject) => {
			const q = http.get(`${tandem.url}/api/v1/jobs/${job.id}/log?follow=1`, { agent: false }, (r) => {
				r.setEncoding("utf8").once("data", (d) => { q.destroy(); resolve(d); });
			}).on("error", (e) => e.code !== "ECONNRESET" && reject(e));
		});
		assert.ok(text.length > 0);
	});

	test("stop is clean with streams open", async () => {
		const listeners = Array.from({ length: 16 }, async () => {
			try { for await (const _ of tandem.events(`/jobs/${job.id}/events`)); } catch { /* cut off is how it may end */ }
		});
		await sleep(300);
		const began = Date.now();
		assert.equal((await tandem.stop()).code, 0);
		assert.ok(Date.now() - began < 10_000 * patience);
		await Promise.all(listeners);
		await tandem.up();
		await tandem.act(job.id, "cancel");
		await tandem.until(job.id, "cancelled");
	});
});
