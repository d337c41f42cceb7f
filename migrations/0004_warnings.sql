-- What a job's author probably did not mean: each once, however often the job begins anew.
CREATE TABLE warnings (
	job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
	code TEXT NOT NULL,                         -- double_softmax
	layer TEXT NOT NULL,                        -- dotted path; empty: none
	text TEXT NOT NULL,                         -- a sentence with the fix
	UNIQUE (job, code, layer)
);
