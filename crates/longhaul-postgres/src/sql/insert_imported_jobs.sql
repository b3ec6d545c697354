-- Writes jobs that another store has kept.
-- in: a JSON list of objects with a value for each column of `jobs`
INSERT INTO jobs SELECT * FROM json_populate_recordset(NULL::jobs, $1::text::json)
