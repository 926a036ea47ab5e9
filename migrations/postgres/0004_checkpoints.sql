-- Where sources stand.

CREATE TABLE checkpoints (
    name       text        PRIMARY KEY,
    value      text        NOT NULL,
    updated_at timestamptz NOT NULL
);
