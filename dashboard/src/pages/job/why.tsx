import type { ComponentChildren } from "preact";
import { type GraphNode, hasEnded, type Job, type Reason } from "../../api/model";
import { whyOf } from "../../api/routes";
import { useLive } from "../../live/read";
import { StateBadge } from "../../parts/state";
import { Time } from "../../parts/time";
import { To, ToJob } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { count, isForEver, seconds } from "../../words";
import { SendSignal } from "./signal";

interface Props {
  job: Job;
  /** Jobs that are connected with it. */
  nodes: GraphNode[];
}

/** Why a job waits, and for how long. Nothing for a job that runs or has ended. */
export function Why({ job, nodes }: Props) {
  const isWaiting = job.state !== "running" && !hasEnded(job.state);
  return isWaiting ? <Reasons job={job} nodes={nodes} /> : null;
}

function Reasons({ job, nodes }: Props) {
  const why = useLive((signal) => whyOf(job.id, signal), { key: `${job.id} ${job.state} ${job.waits_for}`, every: 2_000, when: ({ id, queue }) => queue === job.queue || nodes.some((node) => node.id === id) });
  return (
    <section class="why">
      <h2>Why it waits</h2>
      <Trouble error={why.error} />
      <ul>
        {why.value !== undefined && why.value.reasons.length === 0 && <li>{turn(job)}</li>}
        {why.value?.reasons.map((reason, at) => (
          <li key={`${reason.rule} ${at}`}>
            <InWords reason={reason} job={job} nodes={nodes} />
          </li>
        ))}
      </ul>
      {why.value?.ends_at != null && (
        <p>
          {why.value.ends_at === job.deadline ? "Its deadline is" : "It is cancelled unless it is started"} <Time at={why.value.ends_at} />.
        </p>
      )}
      {why.value?.eta_seconds != null && <p>It will be ready in about {seconds(why.value.eta_seconds)}.</p>}
    </section>
  );
}

/** A rule in words. One that this page does not know is told by its name. */
function InWords({ reason, job, nodes }: Props & { reason: Reason }): ComponentChildren {
  const queue = <To page="queues">{job.queue}</To>;
  const key = <To page="jobs" query={{ q: qualified("key", reason.key ?? "") }}>{reason.key}</To>;
  const until = reason.until != null && (
    <>
      {" "}
      until <Time at={reason.until} />
    </>
  );
  const { slots = 1 } = job.cost;
  switch (reason.rule) {
    case "run_at":
      return <>Its time has not come: it is due <Time at={reason.until ?? job.run_at} />.</>;
    case "retry":
      return <>Its last attempt failed, and the next begins <Time at={reason.until ?? job.run_at} />.</>;
    case "depends_on":
      return (
        <>
          It waits for jobs that it depends on{of(reason)}.
          <Listed ids={reason.waits_for} nodes={nodes} />
        </>
      );
    case "children":
      return (
        <>
          It waits for its children{of(reason)}
          {until}.
        </>
      );
    case "paused_queue":
      return <>The queue {queue} is paused{until}. Nothing of it runs until it is resumed.</>;
    case "paused_key":
      return <>Its limit key {key} is paused{reason.until != null && isForEver(reason.until) ? " until it is resumed" : until}.</>;
    case "slots_queue":
      return <>The queue {queue} has too few free slots: {taken(reason, slots)}.</>;
    case "slots_key":
      return (
        <>
          Its limit key {key} has too few free slots: {taken(reason, slots)}.
        </>
      );
    case "rate_queue":
      return <>The rate of the queue {queue} lets it start <Time at={reason.until} />.</>;
    case "rate_key":
      return <>The rate of its limit key {key} lets it start <Time at={reason.until} />.</>;
    case "turn":
      return <>Jobs of other limit keys have their turns in the queue {queue} first.</>;
    case "signal":
      return (
        <>
          It waits for the signal <bdi>{reason.key}</bdi>
          {until}. <SendSignal job={job} name={reason.key ?? ""} />
        </>
      );
    case "no_worker":
      if (reason.key?.includes("=")) {
        return <>No worker that knows its kind has the labels that it must have: <code>{reason.key.replaceAll(";", ", ")}</code>. See <To page="workers">Workers</To>.</>;
      }
      return <>No worker is there that serves the queue {queue}.</>;
    case "unknown_kind":
      return (
        <>
          No worker that is there takes jobs of kind <bdi>{job.kind}</bdi>, version {job.version}. See <To page="kinds">Kinds</To>.
        </>
      );
    case "exhausted":
      return (
        <>
          It has used up its attempts, and waits for somebody to retry or cancel it.
          {job.errors.length > 0 && <span class="error cause">{job.errors.at(-1)?.message}</span>}
        </>
      );
    default:
      return (
        <>
          {reason.rule}
          {until}
        </>
      );
  }
}

const taken = ({ used, of }: Reason, slots: number): string => `${count(used ?? 0)} of ${count(of ?? 0)} are taken${slots > 1 ? `, and it takes ${count(slots)}` : ""}`;

const turn = ({ position }: Job): string =>
  position === null ? "Workers take it as soon as they can." : `Its turn has not come: it is number ${position >= 1_000 ? "1,000 or more" : count(position)} in its queue.`;

/** Of the jobs that must end, those that have. */
const of = ({ used, of }: Reason) => (of == null ? "" : `: ${count(used ?? 0)} of ${count(of)} have ended`);

function Listed({ ids, nodes }: { ids: string[] | null | undefined; nodes: GraphNode[] }) {
  if (ids == null || ids.length === 0) return null;
  const known = new Map(nodes.map((node) => [node.id, node]));
  return (
    <ul class="plain waited">
      {ids.map((id) => {
        const node = known.get(id);
        return (
          <li key={id}>
            <ToJob id={id}>{node?.kind ?? id}</ToJob> {node !== undefined && <code>{id}</code>} {node !== undefined && <StateBadge state={node.state} />}
          </li>
        );
      })}
    </ul>
  );
}
