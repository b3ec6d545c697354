import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { BulkDialog } from "../acts/bulk";
import type { ErrorGroup } from "../api/model";
import { listErrors } from "../api/routes";
import { useLive } from "../live/read";
import { Choices } from "../parts/choices";
import { Empty } from "../parts/empty";
import { Sparkline } from "../parts/sparkline";
import { Time } from "../parts/time";
import { To, ToJob } from "../parts/to";
import { Trouble } from "../parts/trouble";
import { may } from "../session";
import { useTitle } from "../title";
import { spanOf, WINDOWS } from "../windows";
import { count } from "../words";

/** Failures, those of one kind and one shape of message together. */
export function Errors() {
  const { query } = useLocation();
  const span = spanOf(query.window);
  const { queue, kind } = query;
  const filter = { ...(queue && { queue }), ...(kind && { kind }) };
  const live = useLive((signal) => listErrors({ window: span, ...filter }, signal), {
    key: `errors ${span} ${queue ?? ""} ${kind ?? ""}`,
    every: 3_000,
    when: ({ state }) => state === "failed" || state === "scheduled",
  });
  const [retried, setRetried] = useState<ErrorGroup>();
  useTitle("Errors");
  return (
    <>
      <div class="head">
        <h1>Errors</h1>
        <Choices label="Window" page="errors" query={filter} name="window" chosen={span} choices={WINDOWS} />
      </div>
      <Trouble error={live.error} />
      {live.value?.groups.length === 0 && <Empty title="Nothing has failed in this time">Failures whose messages differ only in numbers, ids and quoted words stand together here.</Empty>}
      <ul class="groups">
        {live.value?.groups.map((group) => (
          <li key={group.fingerprint} class="card">
            <div class="about">
              <h2>
                <To page="jobs" query={{ q: `error:${group.fingerprint}` }}>
                  {group.message}
                </To>
              </h2>
              <p>
                <To page="errors" query={{ ...filter, kind: group.kind, window: span }}>
                  {group.kind}
                </To>
                , first <Time at={group.first_at} />, last <Time at={group.last_at} />. <ToJob id={group.job}>The newest job</ToJob>
              </p>
            </div>
            <Sparkline values={group.spark} label={`${count(group.count)} failures over time`} class="failed" />
            <strong class="number" title={`${count(group.count)} failures`}>
              {count(group.count)}
            </strong>
            {may("operator") && (
              <button type="button" onClick={() => setRetried(group)} aria-label={`Retry all: ${group.message}`}>
                Retry all
              </button>
            )}
          </li>
        ))}
      </ul>
      {retried !== undefined && (
        <BulkDialog action="retry" filter={{ q: `error:${retried.fingerprint} state:failed` }} onClose={() => setRetried(undefined)} onDone={live.again} />
      )}
    </>
  );
}
