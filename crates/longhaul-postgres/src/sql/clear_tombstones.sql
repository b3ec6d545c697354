-- Forgets that jobs were removed, for there are new ones of their ids.
-- in: ids    index: the primary key
DELETE FROM tombstones WHERE id = ANY ($1::text[])
