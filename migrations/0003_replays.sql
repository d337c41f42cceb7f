-- Steps of jobs, done once more to look inside.  Times are milliseconds since 1970, UTC.  What a replay has found is in
-- DATA/replays/JOB/ID, where it is whole.
CREATE TABLE replays (
	id TEXT PRIMARY KEY,                        -- a ULID
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	step INTEGER NOT NULL,
	steps INTEGER NOT NULL,
	state TEXT NOT NULL,                        -- queued, running, succeeded, failed, cancelled
	automatic INTEGER NOT NULL,                 -- 1: made by itself, because the step was not finite
	detail TEXT,                                -- why it failed
	phase TEXT NOT NULL DEFAULT '',             -- progress
	done INTEGER NOT NULL DEFAULT 0,
	total INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,        -- processes that were at it
	found TEXT,                                 -- JSON: from, verdict, culprit
	created_ms INTEGER NOT NULL,
	finished_ms INTEGER NOT NULL DEFAULT 0,
	UNIQUE (job, step)
) WITHOUT ROWID;

-- What is still to be done.
CREATE INDEX replays_active ON replays (created_ms) WHERE state IN ('queued', 'running');
