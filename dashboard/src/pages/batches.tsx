import { useLocation } from "preact-iso";
import { useEffect, useMemo } from "preact/hooks";
import { hasEnded } from "../api/model";
import { listJobs } from "../api/routes";
import { Choices } from "../parts/choices";
import { Empty } from "../parts/empty";
import { Progress } from "../parts/progress";
import { StateBadge } from "../parts/state";
import { Time } from "../parts/time";
import { To, ToJob } from "../parts/to";
import { Trouble } from "../parts/trouble";
import { qualified } from "../search";
import { useTitle } from "../title";
import { between, count, tail } from "../words";
import { Listing, type Row } from "./jobs/listing";
import { useFresh } from "./jobs/use-listing";

type Shown = "open" | "ended";

/** Batches: jobs that wait for their children, and then close. */
export function Batches() {
  const { query } = useLocation();
  const shown: Shown = query.show === "ended" ? "ended" : "open";
  const listing = useMemo(() => batches(shown), [shown]);
  useEffect(() => {
    void listing.more();
    return () => listing.close();
  }, [listing]);
  void listing.version.value;
  // Batches are few, and stand on the page as a whole.
  useFresh(listing, { from: 0, to: Math.min(listing.rows.length, 200) });
  useTitle("Batches");
  return (
    <>
      <div class="head">
        <h1>Batches</h1>
        <Choices label="Batches" page="batches" query={{}} name="show" chosen={shown} choices={CHOICES} />
      </div>
      <Trouble error={listing.error.value} />
      {listing.isRead && listing.rows.length === 0 && !listing.hasMore && (
        <Empty title={shown === "open" ? "No batch is open" : "No batch has ended"}>
          A job that is enqueued to run after its children shows up here: open until they have ended, ended after that.
        </Empty>
      )}
      <ul class="groups">
        {listing.rows.map((batch) => (
          <BatchCard key={batch.id} batch={batch} />
        ))}
      </ul>
      {listing.hasMore && listing.isRead && (
        <p class="bound">
          {count(listing.searched)} jobs were looked at so far.
          <button type="button" onClick={() => void listing.more()}>
            Look further back
          </button>
        </p>
      )}
    </>
  );
}

const CHOICES = [
  ["open", "Open"],
  ["ended", "Ended"],
] as const;

/** Open batches are the blocked jobs. Ended ones are found among all, page by page, because no list knows them. */
function batches(shown: Shown): Listing {
  return new Listing(shown, async (cursor, signal) => {
    const q = shown === "open" ? "state:blocked" : "";
    const page = await listJobs({ q, cursor, limit: 100 }, signal);
    const jobs = page.jobs.filter(({ children, state }) => children !== null && hasEnded(state) === (shown === "ended"));
    return { ...page, jobs, searched: { jobs: page.jobs.length, complete: page.next === null } };
  });
}

function BatchCard({ batch }: { batch: Row }) {
  const { total = 0, completed = 0, failed = 0, cancelled = 0 } = batch.children ?? {};
  const ended = completed + failed + cancelled;
  const children = (state?: string) => `${qualified("parent", batch.id)}${state === undefined ? "" : ` state:${state}`}`;
  return (
    <li class="card batch">
      <div class="about">
        <h2>
          <ToJob id={batch.id}>{batch.kind}</ToJob> <code title={batch.id}>{tail(batch.id)}</code> <StateBadge state={batch.state} />
        </h2>
        <p>
          <To page="jobs" query={{ q: children() }}>
            {count(total)} children
          </To>
          : {count(completed)} completed,{" "}
          {failed > 0 ? (
            <To page="jobs" query={{ q: children("failed") }} class="error">
              {count(failed)} failed
            </To>
          ) : (
            "0 failed"
          )}
          , {count(cancelled)} cancelled. Begun <Time at={batch.created_at} />
          {batch.finished_at !== null && `, took ${between(batch.created_at, batch.finished_at)}`}.
        </p>
      </div>
      <Progress percent={total === 0 ? 0 : (ended / total) * 100} label={`Children of ${batch.id} that have ended`} />
    </li>
  );
}
