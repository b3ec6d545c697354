-- Notes how many of the jobs that they depend on have not ended.
-- in: seqs, numbers    index: the primary key
UPDATE jobs SET dependencies_left = counted.dependencies_left
FROM unnest($1::bigint[], $2::bigint[]) AS counted (seq, dependencies_left)
WHERE jobs.seq = counted.seq
