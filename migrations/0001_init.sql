-- The first schema.  Times are milliseconds since 1970, UTC.  Floating-point values that must keep their bits (NaN payloads,
-- infinities, -0.0) are integers with the same 64 bits, in columns named *_bits: SQLite itself would turn NaN into NULL.

-- Single numbers: 'seq', the number of the last event; 'probe', written by health checks.
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters VALUES ('seq', 0), ('probe', 0);

-- What changes often is here, in small rows; the long texts of a job are in documents.
CREATE TABLE jobs (
	id TEXT PRIMARY KEY,                        -- a ULID: sorts by time
	seq INTEGER NOT NULL,                       -- of its last event
	state TEXT NOT NULL,
	reason TEXT NOT NULL,                       -- of the last transition
	detail TEXT,
	name TEXT NOT NULL,
	project TEXT NOT NULL,
	owner TEXT NOT NULL,
	notes TEXT NOT NULL,
	tags TEXT NOT NULL,                         -- JSON array of strings
	priority INTEGER NOT NULL,
	threads INTEGER NOT NULL,
	memory_bytes INTEGER NOT NULL,
	timeout_ms INTEGER NOT NULL,
	retries INTEGER NOT NULL,
	attempt INTEGER NOT NULL DEFAULT 0,
	acked INTEGER NOT NULL DEFAULT 0,           -- last message of this attempt that is committed
	step INTEGER NOT NULL DEFAULT 0,
	n_steps INTEGER NOT NULL DEFAULT 0,
	phase TEXT NOT NULL DEFAULT '',
	epoch INTEGER NOT NULL DEFAULT 0,
	created_ms INTEGER NOT NULL,
	updated_ms INTEGER NOT NULL,
	queued_ms INTEGER NOT NULL DEFAULT 0,
	started_ms INTEGER NOT NULL DEFAULT 0,
	finished_ms INTEGER NOT NULL DEFAULT 0,
	run_ms INTEGER NOT NULL DEFAULT 0,
	deleted INTEGER NOT NULL DEFAULT 0,
	log_bytes INTEGER NOT NULL DEFAULT 0,       -- length of the log
	n_events INTEGER NOT NULL DEFAULT 0,        -- events kept
	event_bytes INTEGER NOT NULL DEFAULT 0,     -- and their text
	events_gone INTEGER NOT NULL DEFAULT 0,     -- events up to this seq are no longer kept
	progress_seq INTEGER NOT NULL DEFAULT 0     -- the one progress event that is kept
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_events_gone ON jobs (events_gone) WHERE events_gone > 0;

-- kind: spec, checked, error, engine, report, graph
CREATE TABLE documents (
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	kind TEXT NOT NULL,
	json TEXT NOT NULL,
	UNIQUE (job, kind)
);

CREATE TABLE transitions (
	seq INTEGER PRIMARY KEY,                    -- of the state event
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	time_ms INTEGER NOT NULL,
	from_state TEXT NOT NULL,
	to_state TEXT NOT NULL,
	event TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	reason TEXT NOT NULL,
	detail TEXT
);
CREATE INDEX transitions_by_job ON transitions (job);

-- The tail end of what happened, for streams that go on after a break.  Not the truth: that is in the other tables.
CREATE TABLE events (
	seq INTEGER PRIMARY KEY,
	job TEXT NOT NULL,                          -- outlives the job: the last event says that it was deleted
	kind TEXT NOT NULL,
	data TEXT NOT NULL                          -- JSON
);
CREATE INDEX events_by_job ON events (job);
CREATE INDEX events_deleted ON events (seq) WHERE kind = 'deleted';

-- A log is one stream of bytes, cut at lines into pieces.
CREATE TABLE log (
	key INTEGER PRIMARY KEY,
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	first INTEGER NOT NULL,                     -- offset of its first byte
	n_bytes INTEGER NOT NULL,
	text TEXT NOT NULL,
	UNIQUE (job, first)
);

CREATE TABLE series (
	key INTEGER PRIMARY KEY,
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	deterministic INTEGER NOT NULL,
	count INTEGER NOT NULL DEFAULT 0,           -- points
	folded INTEGER NOT NULL DEFAULT 0,          -- the first so many are in chunks, the rest in the tail
	non_finite INTEGER NOT NULL DEFAULT 0,
	min_bits INTEGER NOT NULL,                  -- of the finite values; NaN when there is none
	max_bits INTEGER NOT NULL,
	last_step INTEGER NOT NULL DEFAULT -1,
	last_time_ms INTEGER NOT NULL DEFAULT 0,
	last_bits INTEGER NOT NULL,
	UNIQUE (job, name)
);

-- Points that do not fill a chunk yet.
CREATE TABLE tail (
	series INTEGER NOT NULL REFERENCES series (key) ON DELETE CASCADE,
	position INTEGER NOT NULL,                  -- in the series, from 0
	step INTEGER NOT NULL,
	time_ms INTEGER NOT NULL,
	value_bits INTEGER NOT NULL,
	PRIMARY KEY (series, position)
) WITHOUT ROWID;

-- level 0: 1024 points.  level k >= 1: 32 buckets of 32^k points each.  Never partly filled.
CREATE TABLE chunks (
	key INTEGER PRIMARY KEY,
	series INTEGER NOT NULL REFERENCES series (key) ON DELETE CASCADE,
	level INTEGER NOT NULL,
	first INTEGER NOT NULL,                     -- position of its first point
	last_step INTEGER NOT NULL,
	data BLOB NOT NULL,
	UNIQUE (series, level, first)
);
CREATE INDEX chunks_by_step ON chunks (series, level, last_step);

-- kind: artifact, or last and best for checkpoints, which exist when their row does
CREATE TABLE artifacts (
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	file TEXT NOT NULL,
	sha256 TEXT NOT NULL,
	media_type TEXT NOT NULL,
	n_bytes INTEGER NOT NULL,
	created_ms INTEGER NOT NULL,
	step INTEGER NOT NULL,
	UNIQUE (job, kind, name)
);

CREATE TABLE tokens (
	id TEXT PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	owner TEXT NOT NULL,
	note TEXT NOT NULL,
	scope TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	expires_ms INTEGER NOT NULL,                -- 0: never
	used_ms INTEGER NOT NULL DEFAULT 0,
	revoked_ms INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE idempotency (
	owner TEXT NOT NULL,
	key TEXT NOT NULL,
	request_hash TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	status INTEGER,                             -- NULL: reserved, not answered yet
	body TEXT,
	UNIQUE (owner, key)
);
CREATE INDEX idempotency_by_time ON idempotency (created_ms);

CREATE TABLE dataset_files (
	dataset TEXT NOT NULL,
	file TEXT NOT NULL,
	url TEXT NOT NULL,
	sha256 TEXT NOT NULL,
	n_bytes INTEGER NOT NULL,
	n_fetched INTEGER NOT NULL,
	state TEXT NOT NULL,
	detail TEXT NOT NULL,
	UNIQUE (dataset, file)
);
