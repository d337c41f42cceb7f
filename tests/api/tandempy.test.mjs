// tandem.py as a user has it: fetched from the server, run by Python, with nothing else installed.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { blobJob, uploadBlobs } from "./blobs.mjs";
import { Tandem, eventually, have, patience, sleep } from "./harness.mjs";

describe("tandem.py", { skip: !have("python3") && "python3 is not installed" }, () => {
	// A port to which it can come back: below those that the system hands out, also to each request of other tests.
	const tandem = new Tandem({ flags: { listen: `127.0.0.1:${20_000 + (process.pid % 10_000)}` } });
	const folder = mkdtempSync(path.join(tmpdir(), "tandem-py-"));
	// Runs a script that ends with a line of JSON; resolves to that, and what it wrote on standard error.
	async function python(script, env = {}) {
		const file = path.join(folder, "script.py");
		writeFileSync(file, `import json, os, sys\nfrom tandem import *\nt = Tandem(${JSON.stringify(tandem.url)})\n${script.replace(/^\t+/gm, (tabs) => "    ".repeat(Math.max(tabs.length - 3, 0)))}`);
		const { stdout, stderr } = await promisify(execFile)("python3", ["-I", "-c", `import sys; sys.path.insert(0, ${JSON.stringify(folder)}); exec(open(${JSON.stringify(file)}).read())`],
			{ env: { ...process.env, JOB: JSON.stringify(blobJob()), ...env }, timeout: 120_000 * patience, cwd: folder });
		return { out: JSON.parse(stdout.trim().split("\n").at(-1)), err: stderr };
	}
	before(async () => {
		await tandem.up();
		await uploadBlobs(tandem);
		const r = await tandem.get("/tandem.py");
		assert.match(r.headers["content-type"], /^text\/x-python/);
		writeFileSync(path.join(folder, "tandem.py"), r.bytes);
	});
	after(async () => {
		rmSync(folder, { recursive: true, force: true });
		await tandem.close();
	});

	test("is one file of less than 300 lines that needs the standard library alone", () => {
		const text = readFileSync(path.join(folder, "tandem.py"), "utf8");
		assert.ok(text.trim().split("\n").length < 300);
		const imported = text.match(/^import .*$/gm).join().match(/[\w.]+/g).filter((w) => w !== "import");
		for (const name of imported) assert.match(name, /^(hashlib|io|json|math|os|struct|sys|threading|time|uuid|zipfile|http\.client|urllib\.(error|parse|request))$/);
	});

	test("submits, waits with a line of progress, and gives metrics, report and weights", async () => {
		const { out, err } = await python(`
			job = t.submit(json.loads(os.environ["JOB"])).wait()
			m = job.metrics("train/loss")
			path = job.download("model.safetensors", "weights")
			print(json.dumps({"id": job.id, "steps": m["step"], "values": m["value"], "report": job.report()["splits"]["test"]["accuracy"],
				"names": [s["name"] for s in job.series()], "bytes": os.path.getsize(path), "predicted": job.predict([[0, 0, 0]], top=1)}))`);
		const job = await tandem.job(out.id);
		assert.equal(job.state, "succeeded");
		assert.deepEqual(out.values.map(String), (await tandem.points(out.id, "train/loss")).map((p) => String(Number(p.value))));
		assert.equal(out.steps.at(-1), job.progress.n_steps);
		assert.equal(out.report.value, job.summary["test/accuracy"]);
		assert.ok(out.names.includes("val/accuracy") && out.bytes > 100 && out.predicted[0].label);
		assert.match(err, /blob: succeeded 48\/48 train\/loss/);
	});

	test("raises what is wrong with every pointer, and what a job failed of", async () => {
		const { out } = await python(`
			spec = json.loads(os.environ["JOB"])
			try:
				t.submit({**spec, "loss": "x", "train": {"epochs": 0}})
			except TandemError as e:
				refused = str(e), e.status
			run = t.external("fails")
			run.close("failed", "why not")
			try:
				run.wait(progress=False)
			except JobFailed as e:
				failed = str(e)
			try:
				Tandem("http://127.0.0.1:9", retries=0).jobs()
			except TandemError as e:
				print(json.dumps([refused, failed, str(e)]))`);
		assert.equal(out[0][1], 422);
		assert.match(out[0][0], /\/loss \(line 1\): /);
		assert.match(out[0][0], /\/train\/epochs/);
		assert.match(out[1], /failed: why not/);
		assert.match(out[2], /cannot be reached/);
	});

	test("uploads nested lists and whatever shows its memory, and jobs train on them", async () => {
		const { out } = await python(`
			import array
			class Picture:  # as Pillow's
				__array_interface__ = {"shape": (2, 2), "typestr": "|u1", "data": b"abcd", "version": 3}
			x = [[i % 3 + 0.5, -(i % 3), i / 300] for i in range(300)]
			d = t.upload("mine", {"x": x, "y": [i % 3 for i in range(300)]})
			spec = json.loads(os.environ["JOB"])
			spec["data"]["dataset"] = "mine"
			job = t.submit(spec).wait(progress=False)
			print(json.dumps([d["state"], d["kind"], d["samples"], job.data["summary"]["test/accuracy"],
				npy(Picture())[-4:].decode(), npy(memoryview(array.array("f", [1.5])))[-4:].hex(), npy([[1, 2], [3, 4]])[:200].decode("latin1")]))`);
		assert.deepEqual([out[0], out[1]], ["ready", "arrays"]);
		assert.equal(Object.values(out[2]).reduce((a, b) => a + b), 300);
		assert.equal(out[3], 1, "the classes are easily told apart");
		assert.deepEqual([out[4], out[5]], ["abcd", "0000c03f"]);
		assert.match(out[6], /'descr': '<i8'.*'shape': \(2, 2\)/);
	});

	test("a script may be run again: what is there is not sent anew, and other data under the name are refused", async () => {
		const { out } = await python(`
			again = []
			for y in ([0, 1] * 20, [0, 1] * 20, [1, 0] * 20):
				try:
					d = t.upload("again", {"x": [[float(v)] for v in y], "y": y})
					again.append([d["state"], d["updated"]])
				except TandemError as e:
					again.append(str(e))
				time.sleep(2.1 if len(again) == 1 else 0)  # a zip file's times have two seconds
			print(json.dumps(again))`);
		assert.equal(out[0][0], "ready");
		assert.deepEqual(out[1], out[0], "the dataset was not touched");
		assert.match(out[2], /"again" is ready.*DELETE \/api\/v1\/datasets\/again.*another name/);
	});

	test("logs from a loop of one's own, in batches, and says how the loop ended", async () => {
		const { out } = await python(`
			with t.external("loop", project="py", args={"lr": 0.1}) as run:
				for step in range(1, 3001):
					run.log(step, loss=1 / step, **{"val/accuracy": float("nan") if step == 2 else 0.5})
			try:
				with t.external("breaks") as broken:
					broken.log(1, loss=1)
					raise ValueError("no more data")
			except ValueError:
				pass
			late = t.external("late")
			late.log(1, loss=1)
			late.flush()
			late.log(1, loss=1)
			try:
				late.close()
			except TandemError as e:
				print(json.dumps([run.id, broken.id, str(e)]))`);
		const [run, broken] = [await tandem.job(out[0]), await tandem.job(out[1])];
		assert.deepEqual([run.state, run.spec.args.lr, run.summary.loss], ["succeeded", 0.1, 1 / 3000]);
		const loss = await tandem.points(run.id, "loss");
		assert.deepEqual([loss.length, Number(loss[1].value)], [3000, 0.5]);
		assert.equal((await tandem.points(run.id, "val/accuracy"))[1].value, "NaN");
		assert.deepEqual([broken.state, broken.error.detail, broken.summary.loss], ["failed", "ValueError: no more data", 1]);
		assert.match(out[2], /series 'loss'/);
	});

	test("sweeps, forks and cancels", async () => {
		const { out } = await python(`
			base = json.loads(os.environ["JOB"])
			s = t.sweep(base, {"/optimizer/lr": {"values": [0.1, 0.01]}}, "val/loss", "min", strategy="grid", parallel=2)
			best = t.job(s["best"]["job"])
			fork = best.fork(set={"/train/epochs": 3}).wait(progress=False)
			long = t.submit({**base, "train": {"epochs": 100000}}).cancel()
			try:
				long.wait(progress=False)
			except JobFailed as e:
				print(json.dumps([s["counts"], fork.data["parent"]["job"] == best.id, e.job["state"], [j["name"] for j in t.jobs(sweep=s["id"])]]))`);
		assert.deepEqual(out, [{ succeeded: 2 }, true, "cancelled", ["blob #1", "blob #0"]]);
	});

	test("waits out a server that is away for a moment, and doubles nothing", async () => {
		const running = python(`
			run = t.external("patient")
			for step in range(1, 61):
				run.log(step, loss=step)
				run.flush()
				while step == 10 and not os.path.exists("go on"):
					time.sleep(0.01)
				time.sleep(0.03)
			run.close()
			print(json.dumps(run.id))`);
		running.catch(() => {}); // it is awaited below
		const patients = async () => (await tandem.json("/jobs?q=patient")).items;
		const halfway = async () => (await patients()).find((j) => j.progress.step === 10);
		const seen = await eventually("it is in the middle", halfway);
		assert.equal(seen.state, "running");
		writeFileSync(path.join(folder, "go on"), "");
		await sleep(50); // so that requests are under way
		await tandem.kill();
		await tandem.up();
		const { out } = await running;
		assert.deepEqual((await tandem.points(out, "loss")).map((p) => p.step), Array.from({ length: 60 }, (_, i) => i + 1));
	});

	test("finds its token in the environment", async () => {
		const admin = (await tandem.post("/tokens", { owner: "ada", scope: "admin" })).json.token;
		tandem.token = admin;
		const { out } = await python(`
			try:
				Tandem(${JSON.stringify(tandem.url)}, token="td_wrong").jobs()
			except TandemError as e:
				print(json.dumps([len(t.jobs(kind="external")) > 0, e.status]))`, { TANDEM_TOKEN: admin });
		assert.deepEqual(out, [true, 401]);
	});
});
