import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { OnFull, Queue } from "../../api/model";
import { setBound } from "../../api/routes";
import { FATES, ON_FULL } from "../../steering";
import { count } from "../../words";

/** How many jobs of a queue may wait, and what becomes of one more. */
export function BoundDialog({ queue: { name, config, states }, onDone, onClose }: { queue: Queue; onDone: () => void; onClose: () => void }) {
  const [most, setMost] = useState(config.max_waiting ?? NaN);
  const [fate, setFate] = useState(config.on_full);
  const bound = { max_waiting: Number.isNaN(most) ? null : most, on_full: fate };
  return (
    <ActDialog
      title={`How many jobs of ${name} may wait`}
      verb="Let so many wait"
      commands={{
        longhaul: longhaul("queues", "set", name, "--max-waiting", bound.max_waiting === null ? "none" : String(most), "--on-full", fate.replace("_", "-")),
        curl: curl("PATCH", `queues/${encodeURIComponent(name)}`, bound),
      }}
      onDo={() =>
        setBound(name, bound).then(() => {
          notify(bound.max_waiting === null ? `Any number of jobs of ${name} may wait.` : `At most ${count(most)} jobs of ${name} may wait.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        {count(states.available + states.scheduled)} wait now, available or scheduled. Those stay; the bound is for jobs that are enqueued. Retries, follow-up jobs and ticks of
        schedules always pass.
      </p>
      <div class="limits">
        <MostWaiting value={most} label="The most that wait; any number where this is empty" onChange={setMost} isFirst />
        <Fate value={fate} onChange={setFate} />
      </div>
    </ActDialog>
  );
}

/** A bound on jobs that wait; NaN is none. */
export function MostWaiting({ value, label, isFirst = false, onChange }: { value: number; label: string; isFirst?: boolean; onChange: (most: number) => void }) {
  return (
    <label class="field">
      {label}
      <input
        {...(isFirst && { "data-first": true })}
        type="number"
        min={1}
        max={1_000_000_000}
        step={1}
        value={Number.isNaN(value) ? "" : value}
        onInput={({ currentTarget }) => onChange(currentTarget.valueAsNumber)}
      />
    </label>
  );
}

/** The fate of one more. */
export function Fate({ value, onChange }: { value: OnFull; onChange: (fate: OnFull) => void }) {
  return (
    <label class="field">
      One more …
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value as OnFull)}>
        {FATES.map((fate) => (
          <option key={fate} value={fate}>
            {ON_FULL[fate]}
          </option>
        ))}
      </select>
    </label>
  );
}
