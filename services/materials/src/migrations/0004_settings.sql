-- What the service has set up once, so that a start does not undo what an operator has changed since.
CREATE TABLE material_settings (
    name TEXT NOT NULL PRIMARY KEY,
    set_at BIGINT NOT NULL
);
