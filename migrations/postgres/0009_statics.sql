-- Static data: what types, groups, systems are. No step before has filled the two tables of names.
--
-- `source` says where a row comes from: 'import', which the next import takes the place of, or 'esi', which told of it later and stays until an import
-- has it.

DELETE FROM eve_item_types;
DELETE FROM eve_systems;

ALTER TABLE eve_item_types
    ADD COLUMN group_id      bigint           NOT NULL,
    -- Tech II, faction, deadspace, …
    ADD COLUMN meta_group_id bigint,
    -- Whether it has a place in the market's tree.
    ADD COLUMN on_market     boolean          NOT NULL,
    ADD COLUMN published     boolean          NOT NULL,
    -- Kilograms.
    ADD COLUMN mass          double precision NOT NULL,
    -- Cubic metres.
    ADD COLUMN volume        double precision NOT NULL,
    -- ISK. NULL: none is given.
    ADD COLUMN base_price    numeric(20,2),
    -- Dogma effects: which slot it goes into.
    ADD COLUMN effects       bigint[]         NOT NULL,
    -- Attributes 422, 633, 1547, and whether there is 1211. NULL: none, or not known.
    ADD COLUMN tech_level    bigint,
    ADD COLUMN meta_level    bigint,
    ADD COLUMN rig_size      bigint,
    ADD COLUMN heat_damage   boolean,
    ADD COLUMN source        text             NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'));

CREATE TABLE eve_item_groups (
    group_id    bigint PRIMARY KEY,
    category_id bigint NOT NULL,
    name        text   NOT NULL,
    source      text   NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
);

CREATE TABLE eve_item_categories (
    category_id bigint PRIMARY KEY,
    name        text   NOT NULL
);

CREATE TABLE eve_meta_groups (
    meta_group_id bigint PRIMARY KEY,
    name          text   NOT NULL
);

ALTER TABLE eve_systems
    ADD COLUMN constellation_id bigint           NOT NULL,
    ADD COLUMN region_id        bigint           NOT NULL,
    -- Not rounded: -1.0 to 1.0.
    ADD COLUMN security_status  double precision NOT NULL,
    ADD COLUMN source           text             NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'));

CREATE TABLE eve_constellations (
    constellation_id bigint PRIMARY KEY,
    region_id        bigint NOT NULL,
    name             text   NOT NULL,
    source           text   NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
);

CREATE TABLE eve_regions (
    region_id bigint PRIMARY KEY,
    name      text   NOT NULL
);

-- One row for each change of the tables above. The greatest version says whether what a worker has in memory is what is here.
CREATE TABLE eve_imports (
    version        bigint      PRIMARY KEY,
    -- 'import': everything; 'esi': so much was added.
    kind           text        NOT NULL CONSTRAINT kind_known CHECK (kind IN ('import', 'esi')),
    -- Of an import: what was read.
    source         text        NOT NULL,
    imported_at    timestamptz NOT NULL,
    types          bigint      NOT NULL,
    groups         bigint      NOT NULL,
    categories     bigint      NOT NULL,
    meta_groups    bigint      NOT NULL,
    systems        bigint      NOT NULL,
    constellations bigint      NOT NULL,
    regions        bigint      NOT NULL
);
