-- The pages of a run stay, for whoever wants to see what was read. Page 0 has no text: its warnings are about the
-- document. `warnings` is a JSON list of {code, message}.
ALTER TABLE material_pages ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';

-- The page that a chunk begins on; null where the document's kind has none.
ALTER TABLE material_chunks ADD COLUMN page BIGINT;
