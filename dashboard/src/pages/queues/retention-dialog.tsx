import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { Queue, Retention } from "../../api/model";
import { setRetention } from "../../api/routes";

const ENDS = ["completed", "failed", "cancelled"] as const;
const DAY = 86_400;

/** How long the history of a queue is kept, by outcome. An empty field is no bound. */
export function RetentionDialog({ queue, onDone, onClose }: { queue: Queue; onDone: () => void; onClose: () => void }) {
  const [retention, setIt] = useState<Retention>(queue.config.retention);
  const set = (end: (typeof ENDS)[number], bound: "age" | "count", value: number, unit: number) => {
    const number = Number.isNaN(value) ? null : Math.round(value * unit);
    setIt({ ...retention, [end]: { ...retention[end], [bound]: number } });
  };
  const path = `queues/${encodeURIComponent(queue.name)}`;
  return (
    <ActDialog
      title={`What is kept of ${queue.name}`}
      verb="Keep this much"
      commands={{ longhaul: longhaul("queues", "retention", queue.name, ...ENDS.flatMap((end) => [`--${end}`, bounds(retention[end])])), curl: curl("PATCH", path, { retention }) }}
      onDo={() =>
        setRetention(queue.name, retention).then(() => {
          notify(`What is kept of ${queue.name} was changed.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>Jobs that have ended are pruned once they are older than the age, or more than the count. An empty field is no bound.</p>
      <table class="fields">
        <thead>
          <tr>
            <th scope="col">Outcome</th>
            <th scope="col">Age in days</th>
            <th scope="col">Count</th>
          </tr>
        </thead>
        <tbody>
          {ENDS.map((end) => (
            <tr key={end}>
              <th scope="row">{end}</th>
              <td>
                <input
                  type="number"
                  min={0}
                  step="any"
                  aria-label={`Days for which ${end} jobs are kept`}
                  value={retention[end].age == null ? "" : (retention[end].age ?? 0) / DAY}
                  onChange={({ currentTarget }) => set(end, "age", currentTarget.valueAsNumber, DAY)}
                />
              </td>
              <td>
                <input
                  type="number"
                  min={0}
                  step={1}
                  aria-label={`The most ${end} jobs that are kept`}
                  value={retention[end].count ?? ""}
                  onChange={({ currentTarget }) => set(end, "count", currentTarget.valueAsNumber, 1)}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </ActDialog>
  );
}

/** Bounds as the command line takes them: `7d,10000`. */
function bounds({ age, count }: Retention["completed"]): string {
  const given = [age == null ? "" : age % DAY === 0 ? `${age / DAY}d` : `${age}s`, count == null ? "" : String(count)];
  return given.filter((bound) => bound !== "").join(",") || "forever";
}
