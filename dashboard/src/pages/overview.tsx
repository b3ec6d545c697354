import { listJobs, listQueues, listWorkers, STATES, type State } from "../api";
import { useLive } from "../live";
import { StateBadge, Time, To, Trouble } from "../parts";
import { count } from "../words";

/** All queues together, and the newest failures. */
export function Overview() {
  const queues = useLive(listQueues, 2_000, "queues");
  const workers = useLive(listWorkers, 5_000, "workers");
  const failures = useLive((signal) => listJobs(new URLSearchParams({ state: "failed", limit: "10" }), signal), 5_000, "failures");
  const sum = (state: State) => (queues.value?.queues ?? []).reduce((total, queue) => total + queue.states[state], 0);
  return (
    <>
      <h1>Overview</h1>
      <Trouble error={queues.error ?? workers.error ?? failures.error} />
      <ul class="tiles">
        {STATES.map((state) => (
          <li key={state}>
            <To page={`jobs?q=state:${state}`}>
              <strong>{queues.value === undefined ? "…" : count(sum(state))}</strong>
              <StateBadge state={state} />
            </To>
          </li>
        ))}
        <li>
          <To page="workers">
            <strong>{workers.value === undefined ? "…" : count(workers.value.workers.length)}</strong> workers
          </To>
        </li>
      </ul>
      <h2>Newest failures</h2>
      {failures.value?.jobs.length === 0 && <p>No job has failed.</p>}
      <ul class="rows">
        {failures.value?.jobs.map((job) => (
          <li key={job.id}>
            <To page={`jobs/${encodeURIComponent(job.id)}`}>{job.kind}</To> in {job.queue}, <Time at={job.finished_at} />
            <p class="error">{job.errors.at(-1)?.message}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
