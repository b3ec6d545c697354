import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import type { LimitKey } from "../../api/model";
import { listKeys } from "../../api/routes";
import { useLive } from "../../live/read";
import { Time } from "../../parts/time";
import { addressOf, To } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { count } from "../../words";

/** The limit keys that a rate limit has paused, and until when. Columns of limits show up where a key has some. */
export function Keys() {
  const { query, route } = useLocation();
  const prefix = query.prefix ?? "";
  // Pages are told apart by where they begin; the way back is the browser's.
  const [cursor, setCursor] = useState<{ prefix: string; at: string }>();
  const at = cursor?.prefix === prefix ? cursor.at : undefined;
  const live = useLive((signal) => listKeys({ prefix, cursor: at }, signal), { key: `keys ${prefix} ${at ?? ""}`, every: 3_000, when: () => true });
  const keys = live.value?.keys ?? [];
  if (prefix === "" && at === undefined && keys.length === 0 && live.error === undefined) return null;
  const hasCounts = keys.some(({ waiting, running }) => waiting !== null || running !== null);
  const hasLimits = keys.some(({ slots, rate, weight }) => slots !== null || rate !== null || weight !== null);
  return (
    <section>
      <h2>Paused limit keys</h2>
      <form
        class="search-box"
        onSubmit={(event) => {
          event.preventDefault();
          route(addressOf("queues", { prefix: String(new FormData(event.currentTarget).get("prefix") ?? "").trim() }));
        }}
      >
        <input name="prefix" type="text" aria-label="Keys that begin with" placeholder="keys that begin with …" defaultValue={prefix} key={prefix} />
        <button type="submit">Find</button>
      </form>
      <Trouble error={live.error} />
      {keys.length === 0 ? (
        <p class="soft">No paused key begins like this.</p>
      ) : (
        <div class="wide">
          <table class="stacked">
            <thead>
              <tr>
                <th scope="col">Key</th>
                {hasCounts && (
                  <>
                    <th scope="col" class="number">Waiting</th>
                    <th scope="col" class="number">Running</th>
                  </>
                )}
                {hasLimits && (
                  <>
                    <th scope="col" class="number">Slots</th>
                    <th scope="col" class="number">Rate</th>
                    <th scope="col" class="number">Weight</th>
                  </>
                )}
                <th scope="col">Paused until</th>
              </tr>
            </thead>
            <tbody>
              {keys.map((key) => (
                <tr key={key.key}>
                  <th scope="row">
                    <To page="jobs" query={{ q: qualified("key", key.key) }} title={key.key}>{key.key}</To>
                  </th>
                  {hasCounts && (
                    <>
                      <td class="number" data-label="Waiting">{number(key.waiting)}</td>
                      <td class="number" data-label="Running">{number(key.running)}</td>
                    </>
                  )}
                  {hasLimits && <Limits of={key} />}
                  <td data-label="Paused until">{key.closed_until === null ? <span class="soft">open</span> : <Time at={key.closed_until} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p class="bound">
        {at !== undefined && (
          <button type="button" onClick={() => setCursor(undefined)}>
            First
          </button>
        )}
        {live.value?.next != null && (
          <button type="button" onClick={() => setCursor({ prefix, at: live.value?.next ?? "" })}>
            Next
          </button>
        )}
      </p>
    </section>
  );
}

function Limits({ of: { slots, rate, weight } }: { of: LimitKey }) {
  return (
    <>
      <td class="number" data-label="Slots">{number(slots)}</td>
      <td class="number" data-label="Rate">{rate === null ? "—" : `${count(rate.n)} in ${rate.per} s`}</td>
      <td class="number" data-label="Weight">{number(weight)}</td>
    </>
  );
}

const number = (value: number | null) => (value === null ? "—" : count(value));
