-- Market orders, what their pages are known by, and what follows from them: where each region stands and what types cost there.
--
-- Times and money as in step 1: RFC 3339 in UTC with three decimals, but for `issued`, which has whole seconds; ISK cents.

CREATE TABLE market_orders (
    order_id      INTEGER PRIMARY KEY,
    region_id     INTEGER NOT NULL,
    type_id       INTEGER NOT NULL,
    location_id   INTEGER NOT NULL,
    system_id     INTEGER NOT NULL,
    volume_total  INTEGER NOT NULL,
    volume_remain INTEGER NOT NULL,
    min_volume    INTEGER NOT NULL,
    -- For one unit.
    price         INTEGER NOT NULL,
    is_buy_order  INTEGER NOT NULL,
    -- Days from `issued` until it ends by itself.
    duration      INTEGER NOT NULL,
    -- When it was placed, or its price last changed.
    issued        TEXT    NOT NULL,
    -- How far a buy order reaches: 'station', 'solarsystem', 'region', or a number of jumps.
    range         TEXT    NOT NULL,
    first_seen_at TEXT    NOT NULL,
    -- Of an open order: when this row was last written. An order that is as it was is not written; that it was still there is what the region's
    -- swept_at says. Of a closed one: when it was last seen.
    last_seen_at  TEXT    NOT NULL,
    -- When it was found to be gone: filled, cancelled or expired, which cannot be told apart. NULL: open.
    closed_at     TEXT
) STRICT;

-- "What is a type bought and sold for in this region now."
CREATE INDEX market_orders_open ON market_orders (region_id, type_id) WHERE closed_at IS NULL;

-- "What was closed long ago", to be forgotten.
CREATE INDEX market_orders_closed ON market_orders (closed_at) WHERE closed_at IS NOT NULL;

-- One row for each page of orders, written together with its orders: what not to fetch again.
CREATE TABLE etags (
    url           TEXT    PRIMARY KEY,
    etag          TEXT,
    region_id     INTEGER NOT NULL,
    -- From 1.
    page          INTEGER NOT NULL,
    last_modified TEXT,
    -- Not to be asked for again before.
    expires_at    TEXT    NOT NULL,
    -- JSON array: the orders that stood on the page, in its order.
    order_ids     TEXT    NOT NULL
) STRICT;

-- Where each region stands: the last sweep that came to its end.
CREATE TABLE market_regions (
    region_id     INTEGER PRIMARY KEY,
    name          TEXT,
    -- None of its pages is to be asked for before.
    not_before    TEXT    NOT NULL,
    -- NULL: its first sweep has not ended yet.
    swept_at      TEXT,
    sweep_seconds REAL    NOT NULL DEFAULT 0,
    pages         INTEGER NOT NULL DEFAULT 0,
    -- Open ones.
    orders        INTEGER NOT NULL DEFAULT 0,
    -- 'whole': its pages were of one snapshot; 'mixed': of several; 'incomplete': some were missing.
    quality       TEXT    NOT NULL DEFAULT 'incomplete'
                  CONSTRAINT quality_known CHECK (quality IN ('whole', 'mixed', 'incomplete'))
) STRICT;

-- What a type costs in a region, from its open orders: "bid" of those to buy, "ask" of those to sell. A type without open orders has no row.
CREATE TABLE market_prices (
    region_id      INTEGER NOT NULL,
    type_id        INTEGER NOT NULL,
    -- The dearest order to buy and the cheapest to sell. NULL, as the averages: there is none.
    best_bid       INTEGER,
    best_ask       INTEGER,
    -- Units.
    bid_volume     INTEGER NOT NULL,
    ask_volume     INTEGER NOT NULL,
    -- Weighted by units.
    bid_average    INTEGER,
    ask_average    INTEGER,
    -- The average of the best 5 % of the units.
    bid_percentile INTEGER,
    ask_percentile INTEGER,
    bid_orders     INTEGER NOT NULL,
    ask_orders     INTEGER NOT NULL,
    -- When this row was last written: one that is as it was is not.
    refreshed_at   TEXT    NOT NULL,
    PRIMARY KEY (region_id, type_id)
) STRICT, WITHOUT ROWID;
