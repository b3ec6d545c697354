import { useEffect, useState } from "preact/hooks";
import { useRoute } from "preact-iso";
import { cancelJob, deleteJob, getJob, type Job, listJobs, retryJob } from "../api";
import { type LogEvent, useFollowed } from "../follow";
import { useLive } from "../live";
import { Confirm, Copy, JsonText, Progress, StateBadge, Time, To, Trouble } from "../parts";
import { quoted, seconds, span } from "../words";

const ENDS = new Set(["completed", "failed", "cancelled"]);

/** One job: how it stands, what it said, what it was given and what it made. */
export function JobPage() {
  const { params } = useRoute();
  const id = params.id ?? "";
  const live = useLive((signal) => getJob(id, signal), 5_000, id);
  const followed = useFollowed(id);
  const [told, setTold] = useState("");
  const [isAsking, setAsking] = useState(false);
  useEffect(() => live.again(), [followed.changes]);

  const job = live.value;
  const attempt = async (work: () => Promise<unknown>, words: string) => {
    try {
      await work();
      setTold(words);
      live.again();
    } catch (error) {
      setTold((error as Error).message);
    }
  };
  if (job === undefined) {
    return (
      <>
        <h1>Job {id}</h1>
        <Trouble error={live.error} />
      </>
    );
  }
  const hasEnded = ENDS.has(job.state);
  return (
    <>
      <h1>
        {job.kind} <StateBadge state={job.state} />
      </h1>
      <Trouble error={live.error} />
      <p class="actions">
        <button type="button" disabled={hasEnded} onClick={() => void attempt(() => cancelJob(id), "It was asked to stop.")}>
          cancel
        </button>
        <button type="button" disabled={!hasEnded} onClick={() => void attempt(() => retryJob(id), "It runs again.")}>
          retry
        </button>
        <button type="button" disabled={!hasEnded} onClick={() => setAsking(true)}>
          delete
        </button>
        <Copy text={`longhaul jobs show ${quoted(id)}`}>copy as command</Copy>
        <Copy text={location.href}>copy link</Copy>
        <output>{told}</output>
      </p>
      {job.progress !== null && (
        <p>
          <Progress percent={job.progress.percent} label="Progress" /> {job.progress.message}
        </p>
      )}
      <Facts job={job} />
      <h2>Output</h2>
      {followed.text !== "" && <pre class="stream">{followed.text}</pre>}
      {job.state === "completed" ? <JsonText value={job.output} /> : followed.text === "" && <p>None yet.</p>}
      <h2>Args</h2>
      <JsonText value={job.args} />
      <Errors job={job} />
      <Timeline events={followed.events} hasGap={followed.hasGap} />
      {job.children !== null && <Children id={id} />}
      {isAsking && (
        <Confirm
          question="Delete this job?"
          verb="delete"
          command={`longhaul jobs delete ${quoted(id)}`}
          onAnswer={(isYes) => {
            setAsking(false);
            if (isYes) void attempt(() => deleteJob(id), "It was deleted.");
          }}
        />
      )}
    </>
  );
}

function Facts({ job }: { job: Job }) {
  const facts: [string, preact.ComponentChildren][] = [
    ["Id", <code>{job.id}</code>],
    ["Queue", <To page={`jobs?q=queue:${encodeURIComponent(job.queue)}`}>{job.queue}</To>],
    ["Attempt", `${job.attempt} of ${job.max_attempts}`],
    ["Enqueued", <Time at={job.created_at} />],
    ["Runs", <Time at={job.started_at ?? job.run_at} />],
    ["Ended", <Time at={job.finished_at} />],
  ];
  if (job.started_at !== null && job.finished_at !== null) facts.push(["Took", span(job.started_at, job.finished_at)]);
  if (job.position !== null) facts.push(["Place in its queue", job.position]);
  if (job.eta_seconds !== null) facts.push(["Ready in about", seconds(job.eta_seconds)]);
  if (job.priority !== 0) facts.push(["Priority", job.priority]);
  if (job.crashes > 0) facts.push(["Workers that died under it", job.crashes]);
  if (job.worker !== null) facts.push(["Worker", <code>{job.worker}</code>]);
  if (job.key !== null) facts.push(["Limit key", <code>{job.key}</code>]);
  if (job.parent !== null) facts.push(["Parent", <To page={`jobs/${encodeURIComponent(job.parent)}`}>{job.parent}</To>]);
  for (const [label, value] of Object.entries(job.labels)) facts.push([`Label ${label}`, value]);
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Errors({ job }: { job: Job }) {
  if (job.errors.length === 0) return null;
  return (
    <>
      <h2>Failed attempts</h2>
      <ol class="rows">
        {job.errors.map((error) => (
          <li key={`${error.attempt} ${error.at}`}>
            Attempt {error.attempt}, {error.kind}, <Time at={error.at} />
            <pre class="error">{error.message}</pre>
          </li>
        ))}
      </ol>
    </>
  );
}

function Timeline({ events, hasGap }: { events: LogEvent[]; hasGap: boolean }) {
  return (
    <>
      <h2>Events</h2>
      {hasGap && <p>Older events are gone: a job keeps its newest 10,000.</p>}
      <ol class="rows events">
        {events.map((event) => (
          <li key={event.id}>
            <Time at={event.at} /> <small>attempt {event.attempt}</small> <Said event={event} />
          </li>
        ))}
      </ol>
    </>
  );
}

function Said({ event }: { event: LogEvent }) {
  switch (event.type) {
    case "state":
      return <StateBadge state={event.state as Job["state"]} />;
    case "progress":
      return (
        <>
          {String(event.percent)} % {String(event.message)}
        </>
      );
    case "log":
      return (
        <code>
          {String(event.level)} {String(event.message)}
        </code>
      );
    default:
      return <>{event.type}</>;
  }
}

function Children({ id }: { id: string }) {
  const page = useLive((signal) => listJobs(new URLSearchParams({ parent: id, limit: "100" }), signal), 5_000, `children ${id}`);
  return (
    <>
      <h2>Children</h2>
      <Trouble error={page.error} />
      <ul class="rows">
        {page.value?.jobs.map((job) => (
          <li key={job.id}>
            <StateBadge state={job.state} /> <To page={`jobs/${encodeURIComponent(job.id)}`}>{job.id}</To>
          </li>
        ))}
      </ul>
      <To page={`jobs?q=parent:${encodeURIComponent(id)}`}>All of them</To>
    </>
  );
}
