import type { Job, Worker } from "../api/model";
import { listJobs, listWorkers } from "../api/routes";
import { useLive } from "../live/read";
import { Empty } from "../parts/empty";
import { Since, Time } from "../parts/time";
import { ToJob } from "../parts/to";
import { Trouble } from "../parts/trouble";
import { useTitle } from "../title";
import { count } from "../words";

/** The running jobs that are read to say what workers do. */
const RUNNING = 100;
/** The jobs that are shown of a worker. */
const SHOWN = 8;

/** The workers that were heard of within the last minute, and what they run. */
export function Workers() {
  const workers = useLive(listWorkers, { key: "workers", every: 2_000, when: ({ state }) => state === "running" });
  const running = useLive((signal) => listJobs({ q: "state:running", limit: RUNNING }, signal), {
    key: "running",
    every: 2_000,
    when: () => true,
  });
  useTitle("Workers");
  const jobs = running.value?.jobs ?? [];
  const isWhole = running.value !== undefined && running.value.next === null;
  return (
    <>
      <h1>Workers</h1>
      <Trouble error={workers.error ?? running.error} />
      {workers.value?.workers.length === 0 && <Empty title="No worker is there">Jobs wait until one comes. A server works by itself, and so does <code>longhaul worker</code>.</Empty>}
      {!isWhole && running.value !== undefined && <p class="soft">More than {RUNNING} jobs run: the newest are shown with their workers.</p>}
      <ul class="cards workers">
        {workers.value?.workers.map((worker) => (
          <WorkerCard key={worker.id} worker={worker} jobs={jobs.filter((job) => job.worker === worker.id)} isWhole={isWhole} />
        ))}
      </ul>
    </>
  );
}

function WorkerCard({ worker, jobs, isWhole }: { worker: Worker; jobs: Job[]; isWhole: boolean }) {
  const slots = worker.queues.reduce((sum, queue) => sum + queue.slots, 0);
  return (
    <li class="card">
      <h2 title={worker.id}>{worker.id}</h2>
      <p class="soft">
        {worker.host}
        {worker.version && `, ${worker.version}`}
        {worker.started_at != null && (
          <>
            , up <Since at={worker.started_at} />
          </>
        )}
        , heard of <Time at={worker.seen_at} />
      </p>
      {Object.keys(worker.labels).length > 0 && (
        <p class="soft">
          {Object.entries(worker.labels).map(([label, value]) => (
            <code key={label}>{`${label}=${value} `}</code>
          ))}
        </p>
      )}
      <ul class="plain slots">
        {worker.queues.map(({ queue, slots }) => {
          const used = jobs.filter((job) => job.queue === queue).length;
          return (
            <li key={queue}>
              <span>{queue}</span>
              <meter min={0} max={Math.max(1, slots)} value={used} aria-label={`Slots of ${queue} that are used`} />
              <span class="number">
                {isWhole ? "" : "≥ "}
                {count(used)} of {count(slots)}
              </span>
            </li>
          );
        })}
      </ul>
      {jobs.length === 0 ? (
        <p class="soft">{slots === 0 ? "It serves no queue." : "It runs nothing."}</p>
      ) : (
        <ul class="plain runs">
          {jobs.slice(0, SHOWN).map((job) => (
            <li key={job.id}>
              <ToJob id={job.id} title={job.id}>
                {job.kind}
              </ToJob>
              {job.started_at !== null && (
                <small>
                  for <Since at={job.started_at} />
                </small>
              )}
            </li>
          ))}
          {jobs.length > SHOWN && <li class="soft">and {count(jobs.length - SHOWN)} more</li>}
        </ul>
      )}
      {worker.kinds !== undefined && worker.kinds.length > 0 && (
        <details>
          <summary>Takes {worker.kinds.length === 1 ? "1 kind" : `${worker.kinds.length} kinds`}</summary>
          <ul class="plain">
            {worker.kinds.map(({ kind, version }) => (
              <li key={kind}>
                {kind} <small>version {version}</small>
              </li>
            ))}
          </ul>
        </details>
      )}
    </li>
  );
}
