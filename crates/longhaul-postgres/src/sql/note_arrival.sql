-- Notes that the first job of a group may be another one.
-- in: queue, joined keys, kind, version, rank, seq
INSERT INTO arrivals (queue, limit_key, kind, version, rank, seq, event) VALUES ($1, $2, $3, $4, $5, $6, 'left')
