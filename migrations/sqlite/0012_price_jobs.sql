-- The job that keeps prices warm: one row. `markets` is a JSON array with how far it is in each.

CREATE TABLE price_jobs (
    job_id     INTEGER PRIMARY KEY CHECK (job_id = 1),
    state      TEXT    NOT NULL CHECK (state IN ('idle', 'initializing', 'processing', 'paused', 'completed', 'error')),
    epoch      INTEGER NOT NULL,
    started_at TEXT,
    changed_at TEXT,
    reason     TEXT,
    markets    TEXT    NOT NULL
) STRICT;

INSERT INTO price_jobs (job_id, state, epoch, markets) VALUES (1, 'idle', 0, '[]');
