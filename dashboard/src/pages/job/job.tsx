import { useRoute } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { hasEnded } from "../../api/model";
import { getJob, graphOf, stepsOf } from "../../api/routes";
import { useFollowed } from "../../live/follow";
import { useLive } from "../../live/read";
import { Copy } from "../../parts/copy";
import { JsonText } from "../../parts/json-text";
import { Progress } from "../../parts/progress";
import { StateBadge } from "../../parts/state";
import { To } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { BECAUSE } from "../../steering";
import { useTitle } from "../../title";
import { Children } from "./children";
import { Deliveries } from "./deliveries";
import { Errors } from "./errors";
import { Facts } from "./facts";
import { Graph } from "./graph";
import { JobActions } from "./job-actions";
import { Logs } from "./logs";
import { Output } from "./output";
import { Steps } from "./steps";
import { Timeline } from "./timeline";
import { Why } from "./why";

/** One job: how it stands and why, what it did, what it was given and what it made. */
export function JobPage() {
  const { params } = useRoute();
  const id = params.id ?? "";
  const [run, setRun] = useState(0);
  // A job that is removed is not asked for again: whoever deletes it here is about to leave the page.
  const reading = { key: id, every: 2_000, when: (change: { id: string; state: string | null }) => change.id === id && change.state !== null };
  const live = useLive((signal) => getJob(id, signal), reading);
  const steps = useLive((signal) => stepsOf(id, signal), reading);
  const around = useRef<ReadonlySet<string>>(new Set([id]));
  const graph = useLive((signal) => graphOf(id, signal), { key: id, every: 3_000, when: (change) => around.current.has(change.id) && (change.id !== id || change.state !== null) });
  around.current = new Set([id, ...(graph.value?.nodes ?? []).map((node) => node.id)]);
  const followed = useFollowed(id, run);
  useEffect(() => {
    live.again();
    steps.again();
  }, [followed.changes]);
  useTitle(live.value?.kind ?? "Job");
  // A log that had ended goes on where somebody else has retried the job.
  const isOver = live.value !== undefined && hasEnded(live.value.state);
  const wasOver = useRef(isOver);
  useEffect(() => {
    if (wasOver.current && !isOver) setRun((run) => run + 1);
    wasOver.current = isOver;
  }, [isOver]);

  const job = live.value;
  if (job === undefined) {
    return (
      <>
        <h1>Job</h1>
        <p>
          <code>{id}</code>
        </p>
        <Trouble error={live.error} />
        {live.error !== undefined && <To page="jobs">All jobs</To>}
      </>
    );
  }
  const said = followed.events.findLast(({ type, attempt }) => type === "progress" && attempt === job.attempt);
  const progress = said === undefined ? job.progress : { percent: Number(said.percent), message: String(said.message), data: said.data };
  const again = () => {
    live.again();
    steps.again();
    setRun((run) => run + 1);
  };
  return (
    <>
      <nav class="crumbs" aria-label="Where this is">
        <To page="jobs">Jobs</To> / <To page="jobs" query={{ q: qualified("kind", job.kind) }}>{job.kind}</To>
      </nav>
      <h1 class="job-title">
        {job.kind} <StateBadge state={job.state} />
      </h1>
      <p class="job-id">
        <code>{job.id}</code> <Copy text={job.id}>copy id</Copy>
      </p>
      <Trouble error={live.error} />
      <JobActions job={job} onDone={again} />
      {job.cancel_reason !== null && (
        <p class="now soft">
          {job.state === "cancelled" ? "Cancelled" : "Asked to stop"}: {BECAUSE[job.cancel_reason]}.
        </p>
      )}
      {progress !== null && !hasEnded(job.state) && (
        <p class="now">
          <Progress percent={progress.percent} label="Progress" /> <span>{progress.message}</span>
        </p>
      )}
      <div class="job">
        <div>
          <Why job={job} nodes={graph.value?.nodes ?? []} />
          <Errors job={job} />
          <Output job={job} text={followed.text} />
          <Steps job={job} steps={steps.value ?? []} onDone={again} />
          <Deliveries id={id} />
          {graph.value !== undefined && <Graph id={id} graph={graph.value} />}
          <Trouble error={graph.error} />
          <section>
            <h2>Args</h2>
            <JsonText value={job.args} label="Args" />
          </section>
          <Logs events={followed.events} hasGap={followed.hasGap} attempt={job.attempt} />
          {job.children !== null && <Children job={job} />}
        </div>
        <aside aria-label="About this job">
          <Timeline job={job} events={followed.events} steps={steps.value ?? []} />
          <Facts job={job} />
        </aside>
      </div>
    </>
  );
}
