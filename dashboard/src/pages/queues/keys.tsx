import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import type { LimitKey } from "../../api/model";
import { listKeys } from "../../api/routes";
import { useLive } from "../../live/read";
import { Time } from "../../parts/time";
import { addressOf, To } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { may } from "../../session";
import { ON_FULL } from "../../steering";
import { chosen, count, isForEver } from "../../words";
import { LimitsDialog, RemoveDialog } from "./limits-dialog";
import { KeyPauseDialog } from "./key-pause-dialog";

type Asked = { what: "pause" | "resume" | "remove"; key: LimitKey } | { what: "limits"; key?: LimitKey };

/** The limit keys that have limits, are paused, or of which jobs wait or run: what is taken of them, and what bounds them. */
export function Keys({ queues }: { queues: string[] }) {
  const { query, route } = useLocation();
  const { prefix = "", queue = "" } = query;
  const place = `${prefix} ${queue}`;
  // Pages are told apart by where they begin; the way back is the browser's.
  const [cursor, setCursor] = useState<{ place: string; at: string }>();
  const at = cursor?.place === place ? cursor.at : undefined;
  const live = useLive((signal) => listKeys({ prefix, queue, cursor: at }, signal), { key: `keys ${place} ${at ?? ""}`, every: 2_000, when: () => true });
  const [asked, setAsked] = useState<Asked>();
  const isAll = prefix === "" && queue === "" && at === undefined;
  const done = { onDone: live.again, onClose: () => setAsked(undefined) };
  return (
    <section>
      <h2>Limit keys</h2>
      <form
        class="search-box"
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget);
          route(addressOf("queues", { prefix: String(given.get("prefix")).trim(), queue: String(given.get("queue")) }));
        }}
      >
        <input name="prefix" type="text" aria-label="Keys that begin with" placeholder="keys that begin with …" defaultValue={prefix} key={prefix} />
        <select name="queue" aria-label="Keys of which jobs wait in" value={queue} onChange={({ currentTarget }) => currentTarget.form?.requestSubmit()}>
          <option value="">in any queue</option>
          {[...new Set([...queues, ...(queue === "" ? [] : [queue])])].map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <button type="submit">Find</button>
      </form>
      <Trouble error={live.error} />
      {live.value?.keys.length === 0 && (
        <p class="soft">
          {isAll
            ? "No limit key has limits, is paused, or has jobs that wait or run. Jobs that share a limit, a provider or a tenant, name it as a limit key."
            : "No limit key is like this."}
        </p>
      )}
      {live.value !== undefined && live.value.keys.length > 0 && <KeyTable keys={live.value.keys} onAsk={setAsked} />}
      <p class="bound">
        {at !== undefined && (
          <button type="button" onClick={() => setCursor(undefined)}>
            First
          </button>
        )}
        {live.value?.next != null && (
          <button type="button" onClick={() => setCursor({ place, at: live.value?.next ?? "" })}>
            Next
          </button>
        )}
        {may("admin") && (
          <button type="button" onClick={() => setAsked({ what: "limits" })}>
            Set limits of another key
          </button>
        )}
      </p>
      {asked?.what === "limits" && <LimitsDialog of={asked.key} {...done} />}
      {asked?.what === "remove" && <RemoveDialog of={asked.key} {...done} />}
      {(asked?.what === "pause" || asked?.what === "resume") && <KeyPauseDialog what={asked.what} of={asked.key} {...done} />}
    </section>
  );
}

function KeyTable({ keys, onAsk }: { keys: LimitKey[]; onAsk: (asked: Asked) => void }) {
  return (
    <div class="wide">
      <table class="limit-keys stacked">
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col" class="number">Waiting</th>
            <th scope="col" class="number">Running</th>
            <th scope="col" class="number">Rate</th>
            <th scope="col" class="number">Weight</th>
            <th scope="col">Open</th>
            {may("operator") && <th scope="col">Steer</th>}
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <KeyRow key={key.key} of={key} onAsk={onAsk} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function KeyRow({ of, onAsk }: { of: LimitKey; onAsk: (asked: Asked) => void }) {
  const { key, waiting, running, slots, rate, weight, max_waiting, on_full, own, closed_until } = of;
  const isPrefix = key.endsWith("*");
  const what = closed_until === null ? "pause" : "resume";
  return (
    <tr>
      <th scope="row">
        {isPrefix ? key : <To page="jobs" query={{ q: qualified("key", key) }} title={key}>{key}</To>}
        <small>{isPrefix ? "for each key that begins so" : own ? "limits of its own" : hasLimits(of) ? "limits of its prefix" : "no limits"}</small>
      </th>
      <td class="number" data-label="Waiting">
        {isPrefix ? "" : waiting >= 1_000 ? "1,000 or more" : count(waiting)}
        {max_waiting !== null && <small>{`at most ${count(max_waiting)}${isPrefix ? " each" : ""}, scheduled ones too: one more ${ON_FULL[on_full]}`}</small>}
        {isPrefix && max_waiting === null && "—"}
      </td>
      <td class="number" data-label="Running">
        {isPrefix ? (slots === null ? "—" : `${count(slots)} each`) : slots === null ? count(running) : `${count(running)} of ${count(slots)}`}
        {!isPrefix && slots !== null && <meter min={0} max={slots} value={running} aria-label={`Slots of ${key} that are taken`} />}
      </td>
      <td class="number" data-label="Rate">{rate === null ? "—" : `${count(rate.n)} in ${chosen(rate.per)}, ${count(rate.burst)} at once`}</td>
      <td class="number" data-label="Weight">{count(weight)}</td>
      <td data-label="Open">
        <Opening of={of} />
      </td>
      {may("operator") && (
        <td>
          <span class="steer">
            {!isPrefix && (
              <button type="button" onClick={() => onAsk({ what, key: of })} aria-label={`${closed_until === null ? "Pause" : "Resume"} key ${key}`}>
                {closed_until === null ? "Pause" : "Resume"}
              </button>
            )}
            {may("admin") && (
              <button type="button" onClick={() => onAsk({ what: "limits", key: of })} aria-label={`Limits of ${key}`}>
                Limits
              </button>
            )}
            {may("admin") && own && (
              <button type="button" onClick={() => onAsk({ what: "remove", key: of })} aria-label={`Take away the limits of ${key}`}>
                Take away
              </button>
            )}
          </span>
        </td>
      )}
    </tr>
  );
}

/** True where anything but its weight bounds a key. */
const hasLimits = ({ slots, rate, max_waiting }: LimitKey): boolean => slots !== null || rate !== null || max_waiting !== null;

/** From when on a key lets jobs start, and why not before. A rule that this page does not know is told by its name. */
function Opening({ of: { key, why, closed_until, rate_free_at } }: { of: LimitKey }) {
  if (key.endsWith("*")) return <>—</>;
  switch (why) {
    case null:
    case undefined:
      return <span class="soft">open</span>;
    case "paused_key":
      return <span class="badge warm">{closed_until === null || isForEver(closed_until) ? "paused" : <>paused, opens <Time at={closed_until} /></>}</span>;
    case "slots_key":
      return <>when a slot is free: all are taken</>;
    case "rate_key":
      return (
        <>
          {rate_free_at === null ? "closed" : <>next start <Time at={rate_free_at} /></>}: its rate is used up
        </>
      );
    default:
      return <>{why}</>;
  }
}
