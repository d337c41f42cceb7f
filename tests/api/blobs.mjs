// A small data set of one's own, uploaded as NPY: three clouds of points in three dimensions.  And jobs on it, of well under a second.

// Numbers as an NPY file: TYPE "<f4" or "<i8".
export function npy(type, shape, values) {
	const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
	const header = Buffer.from(text.padEnd(117) + "\n");
	const body = type === "<f4" ? Buffer.from(Float32Array.from(values).buffer) : Buffer.from(BigInt64Array.from(values, BigInt).buffer);
	return Buffer.concat([Buffer.from("\x93NUMPY\x01\0", "latin1"), Buffer.from([header.length, 0]), header, body]);
}

function clouds(n) {
	let state = 12345;
	const noise = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1) * 1.8;
	const y = Array.from({ length: n }, (_, i) => i % 3);
	return { y, x: y.flatMap((c) => [c + noise(), noise() - c, noise()]) };
}

// Upload it as "blobs" and wait until jobs can use it.
export async function uploadBlobs(tandem, n = 600) {
	const { x, y } = clouds(n);
	const put = async (name, bytes) => {
		const r = await tandem.request("PUT", `/datasets/blobs/files/${name}`, { body: bytes, headers: { "content-type": "application/octet-stream" } });
		if (r.status !== 201) throw new Error(`PUT ${name}: ${r.status} ${r.text}`);
	};
	await tandem.post("/datasets", { name: "blobs" });
	await put("x.npy", npy("<f4", [n, 3], x));
	await put("y.npy", npy("<i8", [n], y));
	await tandem.post("/datasets", { name: "blobs" });
	const ready = await tandem.json("/datasets/blobs?wait=30");
	if (ready.state !== "ready") throw new Error(`blobs: ${JSON.stringify(ready)}`);
}

// 24 steps an epoch.
export const blobJob = (changes = {}) => ({
	name: "blob", project: "tests", seed: 3,
	data: { dataset: "blobs", batch_size: 20, split: { validation: 0.1, test: 0.1 } },
	model: { layers: [{ type: "linear", out_features: 8 }, "relu", { type: "linear", out_features: 3 }] },
	loss: "cross_entropy", metrics: ["accuracy"],
	optimizer: { type: "sgd", lr: 0.1, momentum: 0.9 },
	train: { epochs: 2, validate_every: 5, checkpoint_every: 10 },
	log: { every: 1 },
	resources: { threads: 1, memory_mb: 256 },
	...changes,
});
