-- What types cost, by whom and day: the last quote of each UTC day stays, so that a kill of that day finds its price.
-- The worker deletes days that are older than what the stage `price` keeps.
--
-- Times and money as in step 1: RFC 3339 in UTC with three decimals; ISK cents.

CREATE TABLE prices (
    type_id    INTEGER NOT NULL,
    -- 'janice', 'mutamarket', 'market', 'esi', 'base'.
    source     TEXT    NOT NULL,
    -- Janice's market or our region; 0: the source has only one.
    market     INTEGER NOT NULL,
    -- Of `fetched_at`, in UTC: 2021-11-30.
    day        TEXT    NOT NULL,
    -- For one unit.
    price      INTEGER NOT NULL,
    fetched_at TEXT    NOT NULL,
    PRIMARY KEY (source, market, day, type_id)
) STRICT, WITHOUT ROWID;
