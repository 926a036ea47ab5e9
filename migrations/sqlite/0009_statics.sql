-- Static data: what types, groups, systems are. No step before has filled the two tables of names: they are made anew, with all that is known.
--
-- `source` says where a row comes from: 'import', which the next import takes the place of, or 'esi', which told of it later and stays until an import
-- has it.

DROP TABLE eve_item_types;
DROP TABLE eve_systems;

CREATE TABLE eve_item_types (
    type_id       INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    group_id      INTEGER NOT NULL,
    -- Tech II, faction, deadspace, …
    meta_group_id INTEGER,
    -- Whether it has a place in the market's tree.
    on_market     INTEGER NOT NULL,
    published     INTEGER NOT NULL,
    -- Kilograms.
    mass          REAL    NOT NULL,
    -- Cubic metres.
    volume        REAL    NOT NULL,
    -- ISK cents. NULL: none is given.
    base_price    INTEGER,
    -- JSON array of dogma effects: which slot it goes into.
    effects       TEXT    NOT NULL,
    -- Attributes 422, 633, 1547, and whether there is 1211. NULL: none, or not known.
    tech_level    INTEGER,
    meta_level    INTEGER,
    rig_size      INTEGER,
    heat_damage   INTEGER,
    source        TEXT    NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
) STRICT;

CREATE TABLE eve_item_groups (
    group_id    INTEGER PRIMARY KEY,
    category_id INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    source      TEXT    NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
) STRICT;

CREATE TABLE eve_item_categories (
    category_id INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL
) STRICT;

CREATE TABLE eve_meta_groups (
    meta_group_id INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL
) STRICT;

CREATE TABLE eve_systems (
    system_id        INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL,
    constellation_id INTEGER NOT NULL,
    region_id        INTEGER NOT NULL,
    -- Not rounded: -1.0 to 1.0.
    security_status  REAL    NOT NULL,
    source           TEXT    NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
) STRICT;

CREATE TABLE eve_constellations (
    constellation_id INTEGER PRIMARY KEY,
    region_id        INTEGER NOT NULL,
    name             TEXT    NOT NULL,
    source           TEXT    NOT NULL CONSTRAINT source_known CHECK (source IN ('import', 'esi'))
) STRICT;

CREATE TABLE eve_regions (
    region_id INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL
) STRICT;

-- One row for each change of the tables above. The greatest version says whether what a worker has in memory is what is here.
CREATE TABLE eve_imports (
    version        INTEGER PRIMARY KEY,
    -- 'import': everything; 'esi': so much was added.
    kind           TEXT    NOT NULL CONSTRAINT kind_known CHECK (kind IN ('import', 'esi')),
    -- Of an import: what was read.
    source         TEXT    NOT NULL,
    imported_at    TEXT    NOT NULL,
    types          INTEGER NOT NULL,
    groups         INTEGER NOT NULL,
    categories     INTEGER NOT NULL,
    meta_groups    INTEGER NOT NULL,
    systems        INTEGER NOT NULL,
    constellations INTEGER NOT NULL,
    regions        INTEGER NOT NULL
) STRICT;
