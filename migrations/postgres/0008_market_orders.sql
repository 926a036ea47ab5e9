-- Market orders, what their pages are known by, and what follows from them: where each region stands and what types cost there.

CREATE TABLE market_orders (
    order_id      bigint        PRIMARY KEY,
    region_id     bigint        NOT NULL,
    type_id       bigint        NOT NULL,
    location_id   bigint        NOT NULL,
    system_id     bigint        NOT NULL,
    volume_total  bigint        NOT NULL,
    volume_remain bigint        NOT NULL,
    min_volume    bigint        NOT NULL,
    -- ISK for one unit.
    price         numeric(20,2) NOT NULL,
    is_buy_order  boolean       NOT NULL,
    -- Days from `issued` until it ends by itself.
    duration      integer       NOT NULL,
    -- When it was placed, or its price last changed.
    issued        timestamptz   NOT NULL,
    -- How far a buy order reaches: 'station', 'solarsystem', 'region', or a number of jumps.
    range         text          NOT NULL,
    first_seen_at timestamptz   NOT NULL,
    -- Of an open order: when this row was last written. An order that is as it was is not written; that it was still there is what the region's
    -- swept_at says. Of a closed one: when it was last seen.
    last_seen_at  timestamptz   NOT NULL,
    -- When it was found to be gone: filled, cancelled or expired, which cannot be told apart. NULL: open.
    closed_at     timestamptz
-- Room on every page for new versions of its rows: then a changed price leaves both indexes alone.
) WITH (fillfactor = 90);

-- "What is a type bought and sold for in this region now."
CREATE INDEX market_orders_open ON market_orders (region_id, type_id) WHERE closed_at IS NULL;

-- "What was closed long ago", to be forgotten.
CREATE INDEX market_orders_closed ON market_orders (closed_at) WHERE closed_at IS NOT NULL;

-- One row for each page of orders, written together with its orders: what not to fetch again.
CREATE TABLE etags (
    url           text        PRIMARY KEY,
    etag          text,
    region_id     bigint      NOT NULL,
    -- From 1.
    page          integer     NOT NULL,
    last_modified timestamptz,
    -- Not to be asked for again before.
    expires_at    timestamptz NOT NULL,
    -- The orders that stood on the page, in its order.
    order_ids     bigint[]    NOT NULL
);

-- Where each region stands: the last sweep that came to its end.
CREATE TABLE market_regions (
    region_id     bigint           PRIMARY KEY,
    name          text,
    -- None of its pages is to be asked for before.
    not_before    timestamptz      NOT NULL,
    -- NULL: its first sweep has not ended yet.
    swept_at      timestamptz,
    sweep_seconds double precision NOT NULL DEFAULT 0,
    pages         bigint           NOT NULL DEFAULT 0,
    -- Open ones.
    orders        bigint           NOT NULL DEFAULT 0,
    -- 'whole': its pages were of one snapshot; 'mixed': of several; 'incomplete': some were missing.
    quality       text             NOT NULL DEFAULT 'incomplete'
                  CONSTRAINT quality_known CHECK (quality IN ('whole', 'mixed', 'incomplete'))
);

-- What a type costs in a region, from its open orders: "bid" of those to buy, "ask" of those to sell. A type without open orders has no row.
CREATE TABLE market_prices (
    region_id      bigint        NOT NULL,
    type_id        bigint        NOT NULL,
    -- The dearest order to buy and the cheapest to sell. NULL, as the averages: there is none.
    best_bid       numeric(20,2),
    best_ask       numeric(20,2),
    -- Units.
    bid_volume     bigint        NOT NULL,
    ask_volume     bigint        NOT NULL,
    -- Weighted by units.
    bid_average    numeric(20,2),
    ask_average    numeric(20,2),
    -- The average of the best 5 % of the units.
    bid_percentile numeric(20,2),
    ask_percentile numeric(20,2),
    bid_orders     bigint        NOT NULL,
    ask_orders     bigint        NOT NULL,
    -- When this row was last written: one that is as it was is not.
    refreshed_at   timestamptz   NOT NULL,
    PRIMARY KEY (region_id, type_id)
);
