-- Notes what the running jobs of a queue take of its slots, where nothing is noted.
-- in: queue    index: jobs_running
UPDATE jobs SET held = coalesce(iif(json_valid(policy), json_extract(policy, '$.cost.slots'), NULL), 1)
WHERE state = 'running' AND queue = ?1 AND held IS NULL
