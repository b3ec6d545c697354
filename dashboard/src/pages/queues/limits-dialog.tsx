import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { KeyLimits, LimitKey, OnFull } from "../../api/model";
import { keyPath, removeKey, setKey } from "../../api/routes";
import { Fate, MostWaiting } from "./bound-dialog";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

/** The numbers of the form; NaN where a field is empty. */
type Numbers = Record<"slots" | "n" | "per" | "burst" | "weight" | "max_waiting", number>;

/** All limits of a key, or of each key that begins alike. An empty field is no limit. */
export function LimitsDialog({ of, onDone, onClose }: Props & { of?: LimitKey | undefined }) {
  const [name, setName] = useState(of?.key ?? "");
  const [numbers, setNumbers] = useState<Numbers>({
    slots: of?.slots ?? NaN,
    n: of?.rate?.n ?? NaN,
    per: of?.rate?.per ?? NaN,
    burst: of?.rate?.burst ?? NaN,
    weight: of === undefined || of.weight === 1 ? NaN : of.weight,
    max_waiting: of?.max_waiting ?? NaN,
  });
  const [fate, setFate] = useState<OnFull>(of?.on_full ?? "reject");
  const { n, per, burst, slots, weight, max_waiting } = numbers;
  const isBounded = !Number.isNaN(max_waiting);
  const hasRate = [n, per, burst].some((number) => !Number.isNaN(number));
  const limits: KeyLimits = {
    ...given({ slots }),
    ...(hasRate && { rate: { n, per, ...given({ burst }) } }),
    ...given({ weight, max_waiting }),
    ...(isBounded && { on_full: fate }),
  };
  const field = (of: keyof Numbers, label: string, bounds: { min: number; max: number; step?: "any"; required?: boolean; placeholder?: string }) => (
    <label class="field">
      {label}
      <input type="number" step={1} {...bounds} value={Number.isNaN(numbers[of]) ? "" : numbers[of]} onInput={({ currentTarget }) => setNumbers({ ...numbers, [of]: currentTarget.valueAsNumber })} />
    </label>
  );
  const words = [
    ...(limits.slots == null ? [] : ["--slots", String(slots)]),
    ...(hasRate ? ["--rate", `${n}/${per}s`] : []),
    ...(Number.isNaN(burst) ? [] : ["--burst", String(burst)]),
    ...(limits.weight == null ? [] : ["--weight", String(weight)]),
    ...(isBounded ? ["--max-waiting", String(max_waiting), "--on-full", fate.replace("_", "-")] : []),
  ];
  return (
    <ActDialog
      title={of === undefined ? "Limits of a key" : `Limits of ${of.key}`}
      verb="Set these limits"
      commands={{ longhaul: longhaul("keys", "set", name || "KEY", ...words), curl: curl("PUT", keyPath(name || "KEY"), limits) }}
      onDo={() =>
        setKey(name, limits).then(() => {
          notify(`The limits of ${name} were set.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>{about(of)} An empty field is no limit. They count at once, for what waits and with what runs.</p>
      {of === undefined && (
        <label class="field">
          Key, or the beginning of keys with a * behind it
          <input data-first type="text" required placeholder="provider:openai or tenant:*" value={name} onInput={({ currentTarget }) => setName(currentTarget.value.trim())} />
        </label>
      )}
      <div class="limits">
        {field("slots", "Slots: the most that run at a time", { min: 1, max: 1_000_000 })}
        {field("weight", "Weight: its share of the turns of a fair queue", { min: 1, max: 1_000, placeholder: "1" })}
        {field("n", "Rate: the most that start …", { min: 1, max: 1_000_000, required: hasRate })}
        {field("per", "… in so many seconds", { min: 0.001, max: 2_678_400, step: "any", required: hasRate })}
        {field("burst", "Burst: the most at once after a rest", { min: 1, max: 1_000_000, placeholder: Number.isNaN(n) ? "a tenth" : String(Math.ceil(n / 10)) })}
        <MostWaiting value={max_waiting} label="The most that wait, in all queues" onChange={(most) => setNumbers({ ...numbers, max_waiting: most })} />
        {isBounded && <Fate value={fate} onChange={setFate} />}
      </div>
    </ActDialog>
  );
}

/** The limits of a key are taken away. */
export function RemoveDialog({ of: { key }, onDone, onClose }: Props & { of: LimitKey }) {
  return (
    <ActDialog
      title={`Take the limits of ${key} away?`}
      verb="Take away"
      commands={{ longhaul: longhaul("keys", "remove", key), curl: curl("DELETE", keyPath(key)) }}
      onDo={() =>
        removeKey(key).then(() => {
          notify(`${key} has no limits of its own.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>Those of the longest prefix that fits hold then, where there are any. Jobs that wait may start at once.</p>
    </ActDialog>
  );
}

function about(of: LimitKey | undefined): string {
  if (of === undefined) return "The limits of one key, or of each key that begins alike.";
  if (of.key.endsWith("*")) return "These hold for each key that begins so and has no limits of its own or of a longer prefix.";
  if (of.own) return "These are its own.";
  return of.slots === null && of.rate === null && of.max_waiting === null ? "It has none yet." : "These are those of its prefix. What is set here is its own, and holds instead.";
}

/** The numbers that are there. */
function given<N extends string>(numbers: Record<N, number>): Partial<Record<N, number>> {
  return Object.fromEntries(Object.entries<number>(numbers).filter(([, number]) => !Number.isNaN(number))) as Partial<Record<N, number>>;
}
