-- True where no limits are set for the keys of these joined texts, and none of them is paused: whoever claims jobs of such keys may take
-- them in their order, and no group of theirs has to be looked at. It keeps limits from being set until its transaction ends, and false
-- where somebody is just setting some. Volatile, so that what it reads is as it is once that is so, and not when its statement began.
CREATE FUNCTION are_unlimited(joined TEXT[], now BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
BEGIN
  IF cardinality(joined) = 0 THEN
    RETURN true;
  END IF;
  IF NOT pg_try_advisory_xact_lock_shared(hashtextextended(current_schema() || ':key_configs', 0)) THEN
    RETURN false;
  END IF;
  -- Nearly always nothing is set at all, or only for others.
  IF (SELECT key FROM key_configs LIMIT 1) IS NULL AND (SELECT limit_key FROM pauses WHERE until > now LIMIT 1) IS NULL THEN
    RETURN true;
  END IF;
  RETURN NOT EXISTS (
    SELECT FROM unnest(joined) AS each (text) CROSS JOIN LATERAL unnest(keys_of(each.text)) AS name
    WHERE (SELECT config FROM key_configs WHERE key = name) IS NOT NULL
      OR (SELECT until FROM pauses WHERE limit_key = name) > now
      OR EXISTS (SELECT FROM key_configs WHERE right(key, 1) = '*' AND starts_with(name, left(key, -1))));
END
$$;

-- Whoever sets limits waits, for milliseconds, until the claims that saw none are committed: a claim that sees the limits then sees what
-- these have taken.
CREATE FUNCTION await_claims() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':key_configs', 0));
  RETURN NULL;
END
$$;
CREATE TRIGGER claims_before_limits BEFORE INSERT OR UPDATE ON key_configs FOR EACH STATEMENT EXECUTE FUNCTION await_claims();
