-- Forgets a step of a job and those after it: first stand those of a release that kept no order.
-- in: job, name    index: the primary key
DELETE FROM steps WHERE job = ?1 AND (coalesce(place, 0), name) >= (
  SELECT coalesce(place, 0), iif(place IS NULL, name, '') FROM steps WHERE job = ?1 AND name = ?2
)
