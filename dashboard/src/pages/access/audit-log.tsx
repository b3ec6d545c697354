import { useState } from "preact/hooks";
import type { AuditEntry } from "../../api/model";
import { readAudit } from "../../api/routes";
import { useLive } from "../../live/read";
import { Empty } from "../../parts/empty";
import { Time } from "../../parts/time";
import { Trouble } from "../../parts/trouble";
import { count } from "../../words";

/** Who has changed what, or was refused to, newest first. */
export function AuditLog() {
  const live = useLive((signal) => readAudit({}, signal), { key: "audit", every: 5_000 });
  const [older, setOlder] = useState<{ entries: AuditEntry[]; next: string | null }>();
  const [trouble, setTrouble] = useState<Error>();
  const newest = live.value?.entries;
  // What was read of older pages goes on from where the first page ended then; what is in both is shown once.
  const seen = new Set(newest?.map(({ id }) => id));
  const entries = [...(newest ?? []), ...(older?.entries.filter(({ id }) => !seen.has(id)) ?? [])];
  const next = older === undefined ? live.value?.next : older.next;
  const more = () => {
    if (next == null) return;
    setTrouble(undefined);
    readAudit({ cursor: next }).then(
      (page) => setOlder({ entries: [...(older?.entries ?? newest ?? []), ...page.entries], next: page.next }),
      (error: unknown) => setTrouble(error as Error),
    );
  };
  return (
    <section aria-labelledby="audit-title">
      <h2 id="audit-title">Audit log</h2>
      <p class="soft">What was changed by the API, by this dashboard and by commands over the store, and what was refused to whom, for 90 days.</p>
      <Trouble error={live.error ?? trouble} />
      {newest?.length === 0 && <Empty title="Nothing was changed yet">Pauses, limits, schedules, cancels, retries, deletes, tokens and secrets are noted here, with who made them.</Empty>}
      {entries.length > 0 && (
        <div class="wide">
          <table class="queues audit stacked">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">What</th>
                <th scope="col">To</th>
                <th scope="col">Jobs</th>
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <tr key={entry.id} data-action={entry.action} title={`request ${entry.request_id}`}>
                  <td data-label="When">
                    <Time at={entry.at} />
                  </td>
                  <th scope="row">
                    {entry.who}
                    {entry.role !== null && <small>{entry.role}</small>}
                  </th>
                  <td data-label="What">
                    <code>{entry.action}</code>
                    {entry.outcome === "refused" && (
                      <small>
                        refused: {entry.reason}
                        {entry.count !== null && `, ${count(entry.count)} times or more`}
                      </small>
                    )}
                  </td>
                  <td data-label="To">{entry.object}</td>
                  <td data-label="Jobs" class="number">
                    {entry.count === null || entry.outcome === "refused" ? "" : count(entry.count)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {next != null && (
        <p>
          <button type="button" onClick={more}>
            Older
          </button>
        </p>
      )}
    </section>
  );
}
