-- Names of item types and solar systems. A scan for a part of a name reads some 50,000 rows: no index.

CREATE TABLE eve_item_types (
    type_id INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL
) STRICT;

CREATE TABLE eve_systems (
    system_id INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL
) STRICT;
