import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { Queue } from "../../api/model";
import { setLimits } from "../../api/routes";
import { LimitFields, limitsOf, limitWords, numbersOf } from "./limit-fields";

/** How many jobs of a queue run and start, over all workers. An empty field is no limit. */
export function QueueLimitsDialog({ queue: { name, config, states }, onDone, onClose }: { queue: Queue; onDone: () => void; onClose: () => void }) {
  const [numbers, setNumbers] = useState(numbersOf(config));
  const { slots = null, rate = null } = limitsOf(numbers);
  const limits = { slots, rate };
  const none = [...(slots === null ? ["--slots", "none"] : []), ...(rate === null ? ["--rate", "none"] : [])];
  return (
    <ActDialog
      title={`Limits of the queue ${name}`}
      verb="Set these limits"
      commands={{
        longhaul: longhaul("queues", "set", name, ...limitWords(numbers), ...none),
        curl: curl("PATCH", `queues/${encodeURIComponent(name)}`, limits),
      }}
      onDo={() =>
        setLimits(name, limits).then(() => {
          notify(`The limits of the queue ${name} were set.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        They hold for all workers together, whatever slots each has. An empty field is no limit. They count at once, for what waits and with the {states.running} that run.
      </p>
      <div class="limits">
        <LimitFields numbers={numbers} onChange={setNumbers} />
      </div>
    </ActDialog>
  );
}
