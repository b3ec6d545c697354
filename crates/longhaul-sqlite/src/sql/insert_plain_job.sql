-- Creates an available job without anything that few jobs have; changes nothing where the id exists.
-- A value that is bound costs twice, once to be bound and once to be fetched, so what is null here is not said.
-- in: seq, id, kind, version, queue, priority, rank, run_at, max_attempts, max_crashes, now, args
-- index: jobs_by_id
INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes,
                  created_at, state_at, args, room)
VALUES (?1, ?2, ?3, ?4, ?5, 'available', ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12,
        x'000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000')
ON CONFLICT (id) DO NOTHING
