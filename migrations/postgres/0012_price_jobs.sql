-- The job that keeps prices warm: one row. `markets` is an array with how far it is in each.

CREATE TABLE price_jobs (
    job_id     integer     PRIMARY KEY CHECK (job_id = 1),
    state      text        NOT NULL CHECK (state IN ('idle', 'initializing', 'processing', 'paused', 'completed', 'error')),
    epoch      bigint      NOT NULL,
    started_at timestamptz,
    changed_at timestamptz,
    reason     text,
    markets    jsonb       NOT NULL
) WITH (fillfactor = 50); -- written a few times a second while it runs

INSERT INTO price_jobs (job_id, state, epoch, markets) VALUES (1, 'idle', 0, '[]');
