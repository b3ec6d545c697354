-- The index by words, as rows of bytes (search/postings.rs). `node` is 0 for the lengths of the chunks, else the number
-- that a term's letters give; `part` counts groups of chunks.
CREATE TABLE material_terms (
    material_id TEXT NOT NULL,
    run BIGINT NOT NULL,
    node BIGINT NOT NULL,
    part BIGINT NOT NULL,
    terms BYTEA NOT NULL,
    PRIMARY KEY (material_id, run, node, part)
);

-- Until it is indexed anew, a material is searched by the texts of its chunks: `nodes` is null.
DROP TABLE material_postings;
ALTER TABLE materials ADD COLUMN nodes BIGINT;
-- A bit for each language that its texts are stemmed by.
ALTER TABLE materials ADD COLUMN languages BIGINT NOT NULL DEFAULT 1;
