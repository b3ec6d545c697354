-- Forgets jobs of which all unfinished children were imported.
-- in: jobs    index: the primary key
DELETE FROM expected_children WHERE job = ANY ($1::bigint[]) AND children = 0
