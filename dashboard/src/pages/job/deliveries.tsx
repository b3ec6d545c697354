import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import { type Delivery, hasEnded } from "../../api/model";
import { deliveriesOf, redeliver, redeliverPath } from "../../api/routes";
import { useLive } from "../../live/read";
import { StateBadge } from "../../parts/state";
import { Time } from "../../parts/time";
import { ToJob } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { may } from "../../session";

const KIND = "longhaul.webhook";

/** What was told of the job by its webhook, each delivery with its attempts. */
export function Deliveries({ id }: { id: string }) {
  // A job that is removed has no deliveries to ask for.
  const { value, error, again } = useLive((signal) => deliveriesOf(id, signal), { key: id, every: 3_000, when: (change) => change.kind === KIND || (change.id === id && change.state !== null) });
  const [asked, setAsked] = useState<Delivery>();
  if (error === undefined && (value === undefined || value.length === 0)) return null;
  return (
    <section>
      <h2>Deliveries</h2>
      <Trouble error={error} />
      <ul class="rows deliveries">
        {value?.map((delivery) => (
          <li key={delivery.id}>
            <p>
              <StateBadge state={delivery.state} /> <ToJob id={delivery.id}>{delivery.event === null ? "webhook" : `job.${delivery.event}`}</ToJob> to <code>{delivery.url}</code>
              {may("operator") && hasEnded(delivery.state) && delivery.skipped === undefined && (
                <>
                  {" "}
                  <button type="button" class="quiet" onClick={() => setAsked(delivery)}>
                    send again
                  </button>
                </>
              )}
            </p>
            <p class="soft">
              {words(delivery)}
              {delivery.at !== null && (
                <>
                  , <Time at={delivery.at} />
                </>
              )}
              {delivery.next_at !== null && (
                <>
                  ; the next attempt is due <Time at={delivery.next_at} />
                </>
              )}
            </p>
            {delivery.failures.length > 0 && (
              <details>
                <summary>Failed attempts</summary>
                <ol>
                  {delivery.failures.map((failure) => (
                    <li key={failure.at}>
                      Attempt {failure.attempt}, <Time at={failure.at} />: {failure.error}
                    </li>
                  ))}
                </ol>
              </details>
            )}
          </li>
        ))}
      </ul>
      {asked !== undefined && (
        <ActDialog
          title="Send it again"
          verb="Send"
          commands={{ longhaul: longhaul("deliveries", "redeliver", asked.id), curl: curl("POST", redeliverPath(asked.id)) }}
          onDo={() =>
            redeliver(asked.id).then(() => {
              notify("It is sent again.");
              again();
            })
          }
          onClose={() => setAsked(undefined)}
        >
          <p>
            <code>{asked.url}</code> is sent the same message once more, with the same id, so that it can tell that it knows it.
          </p>
        </ActDialog>
      )}
    </section>
  );
}

function words({ state, status, error, skipped, attempt, max_attempts }: Delivery): string {
  if (skipped !== undefined && skipped !== null) return `not told: ${skipped}`;
  if (state === "blocked") return "waits for the end of the job";
  if (state === "completed") return `taken with ${status ?? "no status"}, attempt ${attempt} of ${max_attempts}`;
  return `${error ?? "on its way"}, attempt ${attempt} of ${max_attempts}`;
}
