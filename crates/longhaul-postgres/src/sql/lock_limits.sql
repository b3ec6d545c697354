-- The lock of all that is known of limits, where nobody else has it at present; held until the transaction ends. Statements
-- that rely on it come after this one, so that they see what its last holder has left. They
-- may be sent together with it: a setting of the transaction has those that write do nothing where the lock is another's.
-- out: 'held' where it is
SELECT set_config('longhaul.limits',
  CASE WHEN pg_try_advisory_xact_lock(hashtextextended(current_schema() || ':limits', 0)) THEN 'held' ELSE '' END, true)
