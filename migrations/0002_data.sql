-- A lab's own data and models, and jobs that belong together.  Times are milliseconds since 1970, UTC.

-- A dataset that somebody has registered or a job has asked for.  Its files are in dataset_files, its pack in
-- DATA/datasets/NAME/pack-KEY, where it is whole.
CREATE TABLE datasets (
	name TEXT PRIMARY KEY,
	seq INTEGER NOT NULL,                       -- of its last event
	state TEXT NOT NULL,                        -- uploading, fetching, preparing, ready, failed, cancelled
	source TEXT NOT NULL,                       -- url, folder, upload, known
	folder TEXT,                                -- below --data-root, for source folder
	format TEXT NOT NULL,                       -- JSON: how its files are to be read
	request TEXT NOT NULL,                      -- JSON: what was registered, to tell a repetition from a conflict
	owner TEXT NOT NULL,
	max_bytes INTEGER NOT NULL,                 -- of all its files together
	detail TEXT,                                -- why it failed or was cancelled
	pointer TEXT,                               -- the member of the format that is to blame
	phase TEXT NOT NULL DEFAULT '',             -- progress of the present state
	done INTEGER NOT NULL DEFAULT 0,            -- bytes
	total INTEGER NOT NULL DEFAULT 0,           -- bytes; 0: not known yet
	file TEXT NOT NULL DEFAULT '',              -- the one at hand
	pack TEXT,                                  -- KEY of its pack; NULL: none
	pack_bytes INTEGER NOT NULL DEFAULT 0,
	info TEXT,                                  -- JSON: the pack's info.json
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- The order in which a dataset's files are read, and what a server said of the version that is being fetched.
ALTER TABLE dataset_files ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dataset_files ADD COLUMN etag TEXT NOT NULL DEFAULT '';

-- Events of what is not a job have an empty job; only the newest are kept.
CREATE INDEX events_of_others ON events (seq) WHERE job = '';

-- Weights with a name, in DATA/models/NAME.safetensors.
CREATE TABLE models (
	name TEXT PRIMARY KEY,
	owner TEXT NOT NULL,
	n_bytes INTEGER NOT NULL,
	sha256 TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	job TEXT,                                   -- whose weights they are; NULL: uploaded.  The job may be gone since
	checkpoint TEXT,                            -- best or last
	tensors TEXT NOT NULL                       -- JSON array: name, dtype and shape of each
) WITHOUT ROWID;

-- kind: train, or external for what a script logs.  A sweep's jobs name it and their place in it; a fork's parent is
-- JSON: job, checkpoint, step, and sha256 of the checkpoint that it began from.
ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'train';
ALTER TABLE jobs ADD COLUMN sweep TEXT;
ALTER TABLE jobs ADD COLUMN sweep_index INTEGER;
ALTER TABLE jobs ADD COLUMN parent TEXT;
CREATE UNIQUE INDEX jobs_by_sweep ON jobs (sweep, sweep_index) WHERE sweep IS NOT NULL;

CREATE TABLE sweeps (
	id TEXT PRIMARY KEY,                        -- a ULID
	state TEXT NOT NULL,                        -- running, succeeded, cancelled
	name TEXT NOT NULL,
	owner TEXT NOT NULL,
	document TEXT NOT NULL,                     -- JSON: what was asked for, all defaults filled in
	created_ms INTEGER NOT NULL,
	finished_ms INTEGER NOT NULL DEFAULT 0
);

-- Every child is planned when its sweep is made; it becomes a job when its turn comes, and this row outlives the job.
CREATE TABLE sweep_children (
	sweep TEXT NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
	child INTEGER NOT NULL,                     -- from 0
	params TEXT NOT NULL,                       -- JSON: pointer -> value
	spec TEXT,                                  -- JSON; NULL once it is the job's
	job TEXT,                                   -- NULL before
	state TEXT,                                 -- of the job when it had ended; NULL before
	value_bits INTEGER,                         -- of the metric, by which children are compared; NULL: none
	PRIMARY KEY (sweep, child)
) WITHOUT ROWID;

-- What was decided at the rungs of a sweep: never twice.
CREATE TABLE sweep_rungs (
	sweep TEXT NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
	child INTEGER NOT NULL,
	rung INTEGER NOT NULL,                      -- from 0
	step INTEGER NOT NULL,                      -- of the value
	value_bits INTEGER NOT NULL,
	passed INTEGER NOT NULL,                    -- 0: it was stopped here
	PRIMARY KEY (sweep, child, rung)
) WITHOUT ROWID;

CREATE TABLE histograms (
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	name TEXT NOT NULL,                         -- weights/0.weight
	step INTEGER NOT NULL,
	data TEXT NOT NULL,                         -- JSON: edges, counts
	UNIQUE (job, name, step)
);
