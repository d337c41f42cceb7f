// make bench: what Tandem costs, as ratios measured side by side in one run; medians with the spread between the quartiles.
// Absolute times stand beside them only to say how large the thing is that was measured.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Tandem, build, convolutional, patience, quick, root } from "../api/harness.mjs";

const POSTS = 50;   // jobs posted one after the other, for the first metric
const ROUNDS = 5;   // each pair of settings is run alternately so many times: drift of the machine hits both alike

const sorted = (list) => [...list].sort((a, b) => a - b);
const quantile = (list, q) => sorted(list)[Math.min(list.length - 1, Math.floor(q * list.length))];
const median = (list) => quantile(list, 0.5);
const spread = (list, digits) => `${median(list).toFixed(digits)} (${quantile(list, 0.25).toFixed(digits)}..${quantile(list, 0.75).toFixed(digits)})`;
const say = (what, result) => console.log(`${what.padEnd(58)} ${result}`);

// Time from the POST to the first metric on the event stream, in milliseconds.
async function first_metric(tandem) {
	const began = performance.now();
	const { id } = await tandem.submit(quick({ train: { steps: 20 } }));
	let took;
	for await (const e of tandem.events(`/jobs/${id}/events`)) {
		if (e.event !== "metrics") continue;
		took = performance.now() - began;
		break;
	}
	await tandem.until(id, "succeeded");
	return took;
}

function import_torch() {
	const python = [path.join(root, ".peers/bin/python3"), "python3"].find((p) => (p.includes("/") ? existsSync(p) : true) && spawnSync(p, ["-c", "import torch"]).status === 0);
	if (!python) return null;
	return Array.from({ length: 5 }, () => {
		const began = performance.now();
		execFileSync(python, ["-c", "import torch"]);
		return performance.now() - began;
	});
}

// Milliseconds per training step, from the times of the points: without start, evaluation and checkpoints.
async function step_ms(tandem, changes) {
	const { id } = await tandem.finish(convolutional({ train: { epochs: 1, checkpoint_every: 100_000 }, ...changes }));
	const { step, time } = await tandem.json(`/jobs/${id}/metrics?name=train/loss&max_points=2048`);
	const ms = (t) => (typeof t === "number" ? t : Date.parse(t));
	const last = step.length - 1, first = Math.floor(last / 10);
	return (ms(time[last]) - ms(time[first])) / (step[last] - step[first]);
}

// Alternate A and B; the ratio of each pair.
async function ratio(run_a, run_b) {
	const a = [], b = [];
	for (let i = 0; i < ROUNDS; i++) {
		a.push(await run_a());
		b.push(await run_b());
	}
	return { a, b, ratios: a.map((x, i) => x / b[i]) };
}

if (patience > 1) {
	console.error(`${build} is built with sanitizers or checks: its times say nothing`);
	process.exit(1);
}
const commit = spawnSync("git", ["-C", root, "describe", "--always", "--dirty"], { encoding: "utf8" }).stdout?.trim();
const governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
console.log(`${os.cpus()[0].model}, ${os.cpus().length} cores, ${(os.totalmem() / 2 ** 30).toFixed(0)} GiB, ${os.type()} ${os.release()}` +
	`${existsSync(governor) ? `, governor ${readFileSync(governor, "utf8").trim()}` : ""}; load ${os.loadavg()[0].toFixed(2)}; Tandem ${commit || "?"}`);
console.log("medians, the middle half in parentheses\n");

const tandem = new Tandem();
await tandem.up();
try {
	await first_metric(tandem);
	const posts = [];
	for (let i = 0; i < POSTS; i++) posts.push(await first_metric(tandem));
	say(`POST to first metric event, ms (${POSTS} jobs)`, spread(posts, 1));
	const torch = import_torch();
	if (torch) {
		say('python3 -c "import torch", ms', spread(torch, 0));
		say("  ratio", (median(torch) / median(posts)).toFixed(1));
	} else say('python3 -c "import torch"', "not installed (make peers)");

	const modes = await ratio(() => step_ms(tandem, { mode: "eager" }), () => step_ms(tandem, { mode: "graph" }));
	say("training step, eager, ms", spread(modes.a, 2));
	say("training step, graph, ms", spread(modes.b, 2));
	say("  eager / graph", spread(modes.ratios, 2));

	if (os.cpus().length > 1) {
		const threads = await ratio(() => step_ms(tandem, { resources: { threads: 1 } }), () => step_ms(tandem, { resources: { threads: 2 } }));
		say("training step, 1 thread, ms", spread(threads.a, 2));
		say("training step, 2 threads, ms", spread(threads.b, 2));
		say("  speed-up by the second thread", spread(threads.ratios, 2));
	}

	// What a point of every step costs a job: a small model that logs each step, beside the same that logs a hundredth of them.
	const logged = await ratio(() => whole_ms({ every: 1 }), () => whole_ms({ every: 100 }));
	say("small job that stores each step's metrics, ms", spread(logged.a, 0));
	say("small job that stores each hundredth, ms", spread(logged.b, 0));
	say("  cost of full resolution", spread(logged.ratios, 2));
} finally {
	await tandem.close();
}

async function whole_ms(log) {
	const job = await tandem.finish(quick({ log, train: { epochs: 10, checkpoint_every: 100_000 } }));
	const at = (state) => Date.parse(job.history.find((h) => h.to === state).time);
	return at("succeeded") - at("running");
}
