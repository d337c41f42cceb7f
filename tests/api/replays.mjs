// Waiting for replays.
import { patience, sleep } from "./harness.mjs";

// The replay of STEP, once its state is one of STATES: when it is over, if nothing else is said.
export async function settled(tandem, id, step, states = ["succeeded", "failed"]) {
	for (const end = Date.now() + 60_000 * patience; Date.now() < end; await sleep(30)) {
		const r = await tandem.get(`/jobs/${id}/replays/${step}`);
		if (r.status === 200 && states.includes(r.json.state)) return r.json;
	}
	throw new Error(`the replay of step ${step} is ${(await tandem.get(`/jobs/${id}/replays/${step}`)).text.slice(0, 500)}\n${tandem.errors.slice(-2000)}`);
}
