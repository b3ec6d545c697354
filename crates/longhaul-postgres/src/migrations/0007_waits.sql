-- What a blocked job waits for beside the children of a closing job: `dependencies`, `children`, `signal:NAME` or `person`; null is
-- its children. When that wait ends by itself, and how many of the jobs that it depends on have not ended. These mean nothing in
-- another state: the release before leaves them. Then the jobs that it depends on, as JSON; the job that it was forked from; and
-- true where others depend on it.
ALTER TABLE jobs
  ADD COLUMN waits_for TEXT COLLATE "C",
  ADD COLUMN wakes_at BIGINT,
  ADD COLUMN dependencies_left BIGINT,
  ADD COLUMN depends_on TEXT,
  ADD COLUMN forked_from TEXT COLLATE "C",
  ADD COLUMN awaited BOOLEAN;
CREATE INDEX jobs_waking ON jobs (wakes_at) WHERE state = 'blocked' AND wakes_at IS NOT NULL;

-- Which jobs depend on which; `settled` once the dependant has counted the end of the job, which it does once.
CREATE TABLE dependencies (
  job BIGINT NOT NULL,
  dependant BIGINT NOT NULL,
  on_failure TEXT COLLATE "C" NOT NULL,
  settled BOOLEAN NOT NULL,
  PRIMARY KEY (job, dependant)
);
CREATE INDEX dependencies_of ON dependencies (dependant);
CREATE INDEX dependencies_awaited ON dependencies (job, dependant) WHERE NOT settled;

-- Ends of jobs that others depend on, in their order, until all dependants have counted them. `n` is a number as `jobs.seq` is: a
-- dependant with a higher one was enqueued after that end, when the job had been retried by hand.
CREATE TABLE ended_dependencies (
  n BIGINT PRIMARY KEY DEFAULT nextval('numbers'),
  job BIGINT NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL
);
CREATE INDEX ended_dependencies_of ON ended_dependencies (job);

-- Notes the end of a job that others depend on, whichever release's statement it is, and forgets what a job that is removed
-- depends on. What depends on that one and has not counted its end still will.
CREATE FUNCTION note_dependencies() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO ended_dependencies (job, outcome) VALUES (NEW.seq, NEW.state);
  ELSE
    DELETE FROM dependencies WHERE dependant = OLD.seq;
    DELETE FROM dependencies WHERE job = OLD.seq AND settled;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER dependencies_of_ended AFTER UPDATE ON jobs FOR EACH ROW
  WHEN (NEW.awaited AND NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL) EXECUTE FUNCTION note_dependencies();
CREATE TRIGGER dependencies_of_deleted AFTER DELETE ON jobs FOR EACH ROW
  WHEN (OLD.awaited OR OLD.depends_on IS NOT NULL) EXECUTE FUNCTION note_dependencies();
