import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { Queue } from "../../api/model";
import { setFair } from "../../api/routes";

/** The order of a queue: its limit keys take turns, or all of its jobs go by priority and age. */
export function FairDialog({ queue: { name, config }, onDone, onClose }: { queue: Queue; onDone: () => void; onClose: () => void }) {
  const fair = !config.fair;
  return (
    <ActDialog
      title={fair ? `Let the limit keys of ${name} take turns?` : `Let all jobs of ${name} go by priority and age?`}
      verb={fair ? "Take turns" : "By priority and age"}
      commands={{ longhaul: longhaul("queues", "fair", name, ...(fair ? [] : ["--off"])), curl: curl("PATCH", `queues/${encodeURIComponent(name)}`, { fair }) }}
      onDo={() =>
        setFair(name, fair).then(() => {
          notify(fair ? `The limit keys of ${name} take turns.` : `The jobs of ${name} go by priority and age.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        {fair
          ? "Its limit keys take turns by their weights, so that a tenant with ten thousand jobs does not keep one with ten waiting. Within a key, priority and age decide; all jobs without keys take one key's turns."
          : "What was enqueued first runs first, whosever it is."}
      </p>
    </ActDialog>
  );
}
