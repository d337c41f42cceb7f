// The same job gives the same bits, however it is run.
import assert from "node:assert/strict";
import test, { before, after, describe } from "node:test";
import { Tandem, convolutional } from "./harness.mjs";

describe("the same job", () => {
	const tandem = new Tandem();
	let reference, record;
	const job = (changes = {}) => convolutional({ train: { epochs: 1 }, ...changes });
	const same = async (spec) => {
		const { id } = await tandem.finish(spec);
		assert.deepEqual(await tandem.fingerprint(id), reference);
		return tandem.job(id);
	};
	before(async () => {
		await tandem.up();
		record = await tandem.finish(job());
		reference = await tandem.fingerprint(record.id);
		assert.ok(reference.series["train/loss"].length >= 50 && Object.keys(reference.weights).length === 1);
	});
	after(() => tandem.close());

	test("run twice has the same losses and the same sha256 of weights", () => same(job()));
	test("on two threads", () => same(job({ resources: { threads: 2 } })));
	test("in eager mode", async () => {
		const eager = await same(job({ mode: "eager" }));
		assert.equal(eager.engine.counters.plans, 0, "eager mode built no plan");
		assert.equal(eager.engine.counters.replayed, 0);
		assert.ok(eager.engine.counters.dispatched > eager.progress.n_steps);
	});
	test("in eager mode on two threads", () => same(job({ mode: "eager", resources: { threads: 2 } })));
	test("beside another job", () => Promise.all([same(job()), same(job({ mode: "eager" })), tandem.finish(job({ seed: 99 }))]));

	test("in graph mode dispatches no op after its trace", async () => {
		const longer = await tandem.finish(job({ train: { epochs: 2 } }));
		assert.ok(longer.progress.n_steps === 2 * record.progress.n_steps);
		assert.equal(longer.engine.counters.dispatched, record.engine.counters.dispatched, "twice the steps dispatch no op more");
		assert.ok(record.engine.counters.plans >= 1 && record.engine.counters.replayed > record.progress.n_steps);
	});

	test("with another seed has other bits, so the comparison can fail", async () => {
		const { id } = await tandem.finish(job({ seed: 8 }));
		const other = await tandem.fingerprint(id);
		assert.notDeepEqual(other.weights, reference.weights);
		assert.notDeepEqual(other.series["train/loss"], reference.series["train/loss"]);
	});

	test("says on which numerics it ran", () => {
		assert.match(record.engine.fingerprint, /openblas/i);
	});
});
