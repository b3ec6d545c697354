import { type Queue, STATES } from "../../api/model";
import { To } from "../../parts/to";
import { count, roughly } from "../../words";

/** The jobs in each state, of all queues. */
export function StateTiles({ queues }: { queues: Queue[] | undefined }) {
  return (
    <ul class="tiles">
      {STATES.map((state) => {
        const jobs = queues?.reduce((sum, queue) => sum + queue.states[state], 0);
        return (
          <li key={state}>
            <To page="jobs" query={{ q: `state:${state}` }} class={`tile ${state}`} title={jobs === undefined ? "" : count(jobs)}>
              <strong>{jobs === undefined ? "…" : roughly(jobs)}</strong>
              <span>{state}</span>
            </To>
          </li>
        );
      })}
    </ul>
  );
}
