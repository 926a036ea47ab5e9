-- What types cost, by whom and day: the last quote of each UTC day stays, so that a kill of that day finds its price.
-- The worker deletes days that are older than what the stage `price` keeps.

CREATE TABLE prices (
    type_id    bigint        NOT NULL,
    -- 'janice', 'mutamarket', 'market', 'esi', 'base'.
    source     text          NOT NULL,
    -- Janice's market or our region; 0: the source has only one.
    market     bigint        NOT NULL,
    -- Of `fetched_at`, in UTC.
    day        date          NOT NULL,
    -- ISK for one unit.
    price      numeric(20,2) NOT NULL,
    fetched_at timestamptz   NOT NULL,
    PRIMARY KEY (source, market, day, type_id)
-- Room on every page for new versions of its rows: those of today are written every hour.
) WITH (fillfactor = 80);
