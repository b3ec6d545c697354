-- Keeps other processes from using the same keys until this transaction ends; in a fixed order.
-- in: keys
SELECT pg_advisory_xact_lock(number) FROM (
  SELECT DISTINCT hashtextextended(current_schema() || ':' || word, 0) AS number
  FROM unnest($1::text[]) AS word ORDER BY 1
) AS numbers
