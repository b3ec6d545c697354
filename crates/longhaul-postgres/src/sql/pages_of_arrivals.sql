-- The length of a table that is empty but for rows which wait to be folded in.
-- out: pages
SELECT pg_relation_size('arrivals') / current_setting('block_size')::bigint
