import type { Stats } from "../../api/model";
import { Since } from "../../parts/time";
import { To } from "../../parts/to";

/** How long the job has waited for a worker that has waited longest. */
export function OldestWaiting({ stats }: { stats: Stats | undefined }) {
  const at = stats?.oldest_waiting;
  return (
    <div class="card oldest">
      <h2>Oldest waiting</h2>
      {stats === undefined ? (
        <p>—</p>
      ) : at == null ? (
        <p class="soft">No job waits for a worker.</p>
      ) : (
        <>
          <p>
            <Since at={at} />
          </p>
          <p>
            <To page="kinds">What waits</To>
          </p>
        </>
      )}
    </div>
  );
}
