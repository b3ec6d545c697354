import { listQueues, STATES } from "../api";
import { useLive } from "../live";
import { To, Trouble } from "../parts";
import { count, seconds } from "../words";

/** All queues with the counts of their jobs. */
export function Queues() {
  const { value, error } = useLive(listQueues, 2_000, "queues");
  return (
    <>
      <h1>Queues</h1>
      <Trouble error={error} />
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              {STATES.map((state) => (
                <th key={state} scope="col">
                  {state}
                </th>
              ))}
              <th scope="col">Completed are kept</th>
            </tr>
          </thead>
          <tbody>
            {value?.queues.map(({ name, states, config }) => (
              <tr key={name}>
                <th scope="row">
                  <To page={`jobs?q=queue:${encodeURIComponent(name)}`}>{name}</To>
                </th>
                {STATES.map((state) => (
                  <td key={state} class="number">
                    <To page={`jobs?q=${encodeURIComponent(`queue:${name} state:${state}`)}`}>{count(states[state])}</To>
                  </td>
                ))}
                <td>{config.retention.completed.age === null ? "for ever" : seconds(config.retention.completed.age)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
