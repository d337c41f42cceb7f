// make examples: every ready-made job trains for a few steps, through the real daemon.
import os from "node:os";
import { Tandem } from "../api/harness.mjs";

const STEPS = 20;
const tandem = new Tandem({ flags: { threads: Math.max(2, os.cpus().length) } });
await tandem.up();
try {
	for (const { name } of (await tandem.json("/examples")).items) {
		const job = await tandem.json(`/examples/${name}`);
		const { epochs, ...train } = job.train ?? {};
		const done = await tandem.finish({ ...job, data: { ...job.data, limit: 2000, split: undefined }, train: { ...train, steps: STEPS } });
		console.log(`${name.padEnd(24)} ${done.state}  train/loss ${done.summary["train/loss"]}`);
	}
} finally {
	await tandem.close();
}
