-- The data of a release of schema version 1: a job that waits, one that ran when its server ended, one that is to be retried, and one
-- that has completed and holds its unique key.

INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes, created_at,
                  state_at, args, room)
VALUES (1001, 'waits', 'ship', 1, 'default', 'available', 0, 1000, 1000, 3, 5, 1000, 1000, '{"order":1}', zeroblob(48));

INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, token, worker, lease_until, attempt,
                  max_attempts, max_crashes, last_event, state_event, log_event, steps, created_at, state_at,
                  started_at, progress, args, room)
VALUES (1002, 'ran', 'ship', 1, 'default', 'running', 0, 1000, 1000, 1010, 'w-old', 99999999999999, 1,
        3, 5, 4, 2, 4, 1, 1000, 1001, 1001, '{"percent":40.0,"message":"packed"}', '{"order":2}', zeroblob(14));
INSERT INTO events VALUES
  (1002, 3, 1002, 1, '{"log":{"level":"info","message":"found the order"}}'),
  (1002, 4, 1003, 1, '{"progress":{"percent":40.0,"message":"packed"}}');
INSERT INTO steps VALUES (1002, 'pack', '"box 7"');
INSERT INTO workers VALUES ('w-old', '{"id":"w-old","process":"p-old","host":"h","queues":[],"seen_at":1000}', 1000, 1);

INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, token, worker, attempt, max_attempts,
                  max_crashes, last_event, state_event, created_at, state_at, started_at, parent, errors, args)
VALUES (1003, 'retries', 'ship', 1, 'default', 'scheduled', 0, 99999999999000, 99999999999000, 1011, 'w-old', 1, 3,
        5, 3, 3, 1000, 1004, 1001, 'ran', '[{"attempt":1,"at":1004,"message":"no stamps","kind":"error"}]', '{"order":3}');

INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, token, worker, attempt, max_attempts,
                  max_crashes, last_event, state_event, created_at, state_at, started_at, finished_at, kept_from,
                  unique_key, unique_period, labels, output, args)
VALUES (1004, 'done', 'ship', 1, 'default', 'completed', 0, 1000, 1000, 1012, 'w-old', 1, 3,
        5, 4, 4, 1000, 1005, 1001, 1005, 99999999999005, 'order-4', 99999999998000, '{"tenant":"ada"}', '"sent"', '{"order":4}');
INSERT INTO unique_keys VALUES ('order-4', 1004, 99999999999005);

INSERT INTO counts VALUES
  ('default', 'available', 1), ('default', 'running', 1), ('default', 'scheduled', 1), ('default', 'completed', 1);
