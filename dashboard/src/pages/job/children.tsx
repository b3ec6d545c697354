import type { Job } from "../../api/model";
import { listJobs } from "../../api/routes";
import { useLive } from "../../live/read";
import { Progress } from "../../parts/progress";
import { StateBadge } from "../../parts/state";
import { To, ToJob } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { count, tail } from "../../words";

const SHOWN = 20;

/** The children of a batch, and how many have ended. */
export function Children({ job }: { job: Job }) {
  const q = qualified("parent", job.id);
  const page = useLive((signal) => listJobs({ q, limit: SHOWN }, signal), { key: q, every: 2_000, when: () => true });
  const { total = 0, completed = 0, failed = 0, cancelled = 0 } = job.children ?? {};
  const ended = completed + failed + cancelled;
  return (
    <section>
      <h2>Children</h2>
      <p class="now">
        <Progress percent={total === 0 ? 0 : (ended / total) * 100} label="Children that have ended" />
        <span>
          {count(ended)} of {count(total)} have ended: {count(completed)} completed, {count(failed)} failed, {count(cancelled)} cancelled
        </span>
      </p>
      <Trouble error={page.error} />
      <ul class="rows">
        {page.value?.jobs.map((child) => (
          <li key={child.id}>
            <ToJob id={child.id}>{child.kind}</ToJob> <code title={child.id}>{tail(child.id)}</code> <StateBadge state={child.state} />
          </li>
        ))}
      </ul>
      <p>
        <To page="jobs" query={{ q }}>
          All {count(total)} children
        </To>
      </p>
    </section>
  );
}
