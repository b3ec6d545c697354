-- Keeps other processes from using the same keys until this transaction ends, as far as none of them does at present.
-- in: keys    out: the keys that another transaction holds
SELECT word FROM unnest($1::text[]) AS word
WHERE NOT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ':' || word, 0))
