-- Notes how long a job holds its unique key.
-- in: seq, hold    index: the primary key
UPDATE jobs SET hold = $2 WHERE seq = $1
