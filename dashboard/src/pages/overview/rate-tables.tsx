import type { ComponentChildren } from "preact";
import type { Counted, Queue, Stats } from "../../api/model";
import type { Rates } from "../../live/rates";
import { To } from "../../parts/to";
import { qualified } from "../../search";
import { count, seconds } from "../../words";

/** Each queue: what waits and runs, and what has ended in the window. */
export function QueueRates({ stats, queues, rates }: { stats: Stats | undefined; queues: Queue[] | undefined; rates: Rates }) {
  if (queues === undefined || queues.length === 0) return null;
  return (
    <section>
      <h2>By queue</h2>
      <div class="wide">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col" class="number">Available</th>
              <th scope="col" class="number">Running</th>
              <th scope="col" class="number">Ends / s</th>
              <Heads />
            </tr>
          </thead>
          <tbody>
            {queues.map(({ name, states, paused }) => (
              <tr key={name}>
                <th scope="row">
                  <To page="jobs" query={{ q: qualified("queue", name) }} title={name}>{name}</To> {paused === true && <span class="badge warm">paused</span>}
                </th>
                <td class="number" data-label="Available">{count(states.available)}</td>
                <td class="number" data-label="Running">{count(states.running)}</td>
                <td class="number" data-label="Ends / s">{rates.ofQueue(name) === 0 ? "—" : rates.ofQueue(name).toFixed(1)}</td>
                <Cells counted={stats?.queues.find(({ queue }) => queue === name)} failed={`${qualified("queue", name)} state:failed`} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Each kind that has ended in the window. */
export function KindRates({ stats }: { stats: Stats | undefined }) {
  if (stats === undefined || stats.kinds.length === 0) return null;
  return (
    <section>
      <h2>By kind</h2>
      <div class="wide">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">Kind</th>
              <Heads />
            </tr>
          </thead>
          <tbody>
            {stats.kinds.map((counted) => (
              <tr key={counted.kind}>
                <th scope="row">
                  <To page="jobs" query={{ q: qualified("kind", counted.kind) }} title={counted.kind}>{counted.kind}</To>
                </th>
                <Cells counted={counted} failed={`${qualified("kind", counted.kind)} state:failed`} />
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Heads(): ComponentChildren {
  return ["Completed", "Failed", "Wait p50", "Wait p99", "Run p50", "Run p99"].map((title) => (
    <th key={title} scope="col" class="number">
      {title}
    </th>
  ));
}

/** The cells of what was counted; `failed` is the search for what has failed. */
function Cells({ counted, failed }: { counted: Counted | undefined; failed: string }) {
  return (
    <>
      <td class="number" data-label="Completed">{count(counted?.completed ?? 0)}</td>
      <td class="number" data-label="Failed">
        {counted !== undefined && counted.failed > 0 ? (
          <To page="jobs" query={{ q: failed }} class="error">
            {count(counted.failed)}
          </To>
        ) : (
          0
        )}
      </td>
      <td class="number" data-label="Wait p50">{seconds(counted?.wait.p50)}</td>
      <td class="number" data-label="Wait p99">{seconds(counted?.wait.p99)}</td>
      <td class="number" data-label="Run p50">{seconds(counted?.run.p50)}</td>
      <td class="number" data-label="Run p99">{seconds(counted?.run.p99)}</td>
    </>
  );
}
