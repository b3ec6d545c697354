import { listWorkers } from "../api";
import { useLive } from "../live";
import { Time, Trouble } from "../parts";

/** The workers that were heard of within the last minute. */
export function Workers() {
  const { value, error } = useLive(listWorkers, 2_000, "workers");
  return (
    <>
      <h1>Workers</h1>
      <Trouble error={error} />
      {value?.workers.length === 0 && <p>No worker is there: jobs wait until one comes.</p>}
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">Host</th>
              <th scope="col">Queues and slots</th>
              <th scope="col">Last heard of</th>
            </tr>
          </thead>
          <tbody>
            {value?.workers.map((worker) => (
              <tr key={worker.id}>
                <th scope="row">{worker.id}</th>
                <td>{worker.host}</td>
                <td>{worker.queues.map(({ queue, slots }) => `${queue} ${slots}`).join(", ")}</td>
                <td>
                  <Time at={worker.seen_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
