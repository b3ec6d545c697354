import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { KeyLimits, LimitKey, OnFull } from "../../api/model";
import { keyPath, removeKey, setKey } from "../../api/routes";
import { Fate, MostWaiting } from "./bound-dialog";
import { given, LimitFields, limitsOf, limitWords, NumberField, numbersOf } from "./limit-fields";

interface Props {
  onDone: () => void;
  onClose: () => void;
}

/** All limits of a key, or of each key that begins alike. An empty field is no limit. */
export function LimitsDialog({ of, onDone, onClose }: Props & { of?: LimitKey | undefined }) {
  const [name, setName] = useState(of?.key ?? "");
  const [numbers, setNumbers] = useState(numbersOf(of));
  const [weight, setWeight] = useState(of === undefined || of.weight === 1 ? NaN : of.weight);
  const [most, setMost] = useState(of?.max_waiting ?? NaN);
  const [fate, setFate] = useState<OnFull>(of?.on_full ?? "reject");
  const isBounded = !Number.isNaN(most);
  const limits: KeyLimits = { ...limitsOf(numbers), ...given({ weight, max_waiting: most }), ...(isBounded && { on_full: fate }) };
  const words = [
    ...limitWords(numbers),
    ...(limits.weight == null ? [] : ["--weight", String(weight)]),
    ...(isBounded ? ["--max-waiting", String(most), "--on-full", fate.replace("_", "-")] : []),
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
        <LimitFields numbers={numbers} onChange={setNumbers} />
        <NumberField label="Weight: its share of the turns of a fair queue" max={1_000} placeholder="1" value={weight} onChange={setWeight} />
        <MostWaiting value={most} label="The most that wait, in all queues" onChange={setMost} />
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
