-- How many children a job was imported with as unfinished that have not been imported yet. These are counted already; any other child that
-- is imported joins those of its parent.
CREATE TABLE expected_children (
  job BIGINT PRIMARY KEY,
  children BIGINT NOT NULL
);

-- Forgets them with the job, whichever release's statement removes it.
CREATE FUNCTION forget_expected_children() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  DELETE FROM expected_children WHERE job = OLD.seq;
  RETURN NULL;
END
$$;
CREATE TRIGGER expected_children_of_deleted AFTER DELETE ON jobs FOR EACH ROW
  WHEN (OLD.children_total IS NOT NULL) EXECUTE FUNCTION forget_expected_children();
