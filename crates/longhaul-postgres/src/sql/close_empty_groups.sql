-- Closes groups of a queue of which no job is left, of the first ones that are open, as move_groups.sql does with each that a claim reads.
-- in: queue, the most that are looked at    index: limit_groups_open; jobs_available_by_keys, one step for each
UPDATE limit_groups SET rank = 9223372036854775807, seq = 9223372036854775807, closed_by = ''
WHERE ctid = ANY (ARRAY(
  SELECT place FROM (
    SELECT ctid AS place, limit_key, kind, version FROM limit_groups WHERE closed_by IS NULL AND queue = $1
    ORDER BY kind, version, turn, turn_key, rank, seq LIMIT $2
  ) AS open
  WHERE (
    SELECT seq FROM jobs
    WHERE state = 'available' AND queue = $1 AND limit_key = open.limit_key AND kind = open.kind AND version = open.version
    ORDER BY queue, limit_key, kind, version, rank, seq LIMIT 1
  ) IS NULL))
