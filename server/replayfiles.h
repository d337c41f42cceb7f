/* A replay's folder, DATA/replays/JOB/ID: what the worker writes there and the daemon gives out. */
#ifndef REPLAYFILES_H
#define REPLAYFILES_H

#define REPLAY_DOCUMENT   "replay.json" /* a JSON object: what GET .../replays/{step} shows besides the row */
#define REPLAY_VALUES     "values.bin"  /* the elements of all values, one after the other */
#define REPLAY_SAMPLE     "sample-%d.png"
#define REPLAY_STEPS_MOST 16

#endif
