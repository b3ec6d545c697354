-- The lock of all that is known of limits, where nobody else has it at present; held until the transaction ends. Statements
-- that rely on it come after this one, so that they see what its last holder has left.
-- out: true where it is held
SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ':limits', 0))
