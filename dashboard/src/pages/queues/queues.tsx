import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import { type Queue, type Retention, STATES } from "../../api/model";
import { listQueues, pauseQueue, resumeQueue } from "../../api/routes";
import { useLive } from "../../live/read";
import { Empty } from "../../parts/empty";
import { To } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { qualified } from "../../search";
import { may } from "../../session";
import { useTitle } from "../../title";
import { ON_FULL } from "../../steering";
import { chosen, count, seconds } from "../../words";
import { BoundDialog } from "./bound-dialog";
import { FairDialog } from "./fair-dialog";
import { Keys } from "./keys";
import { QueueLimitsDialog } from "./queue-limits-dialog";
import { RetentionDialog } from "./retention-dialog";

/** The queue of the curriculum's service, whose users know this page as that of one queue. */
const FIRST = "step10";

type Asked = { what: "pause" | "resume" | "retention" | "fair" | "bound" | "limits"; queue: Queue };

/** All queues: what is in them and how full they are, pause and resume, how long history is kept; then the limit keys of their jobs. */
export function Queues() {
  const live = useLive(listQueues, { key: "queues", every: 1_000, when: () => true });
  const [asked, setAsked] = useState<Asked>();
  useTitle("Queues");
  const queues = live.value?.queues.toSorted((one, other) => Number(other.name === FIRST) - Number(one.name === FIRST));
  return (
    <>
      <h1>Queues</h1>
      <Trouble error={live.error} />
      {queues?.length === 0 && <Empty title="No queues yet">A queue is made by its first job.</Empty>}
      {queues !== undefined && queues.length > 0 && (
        <div class="wide">
          <table class="queues stacked">
            <thead>
              <tr>
                <th scope="col">Queue</th>
                {STATES.map((state) => (
                  <th key={state} scope="col" class="number">
                    {state}
                  </th>
                ))}
                {may("operator") && <th scope="col">Steer</th>}
              </tr>
            </thead>
            <tbody>
              {queues.map((queue) => (
                <QueueRow key={queue.name} queue={queue} onAsk={(what) => setAsked({ what, queue })} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Keys queues={queues?.map(({ name }) => name) ?? []} />
      {(asked?.what === "pause" || asked?.what === "resume") && <PauseDialog {...asked} what={asked.what} onDone={live.again} onClose={() => setAsked(undefined)} />}
      {asked?.what === "retention" && <RetentionDialog queue={asked.queue} onDone={live.again} onClose={() => setAsked(undefined)} />}
      {asked?.what === "bound" && <BoundDialog queue={asked.queue} onDone={live.again} onClose={() => setAsked(undefined)} />}
      {asked?.what === "limits" && <QueueLimitsDialog queue={asked.queue} onDone={live.again} onClose={() => setAsked(undefined)} />}
      {asked?.what === "fair" && <FairDialog queue={asked.queue} onDone={live.again} onClose={() => setAsked(undefined)} />}
    </>
  );
}

function QueueRow({ queue, onAsk }: { queue: Queue; onAsk: (what: Asked["what"]) => void }) {
  const { name, states, config, used, paused = false } = queue;
  const most = config.max_waiting;
  const waiting = states.available + states.scheduled;
  return (
    <tr>
      <th scope="row">
        <To page="jobs" query={{ q: qualified("queue", name) }} title={name}>{name}</To> {paused && <span class="badge warm">paused</span>}
        {most !== null && waiting >= most && <span class="badge bad">full</span>}
        <small>
          {kept(config.retention)}
          {may("admin") && (
            <button type="button" class="quiet" onClick={() => onAsk("retention")} aria-label={`Change what is kept of ${name}`}>
              change
            </button>
          )}
        </small>
        <small>
          {config.fair ? "its limit keys take turns" : "goes by priority and age"}
          {may("admin") && (
            <button type="button" class="quiet" onClick={() => onAsk("fair")} aria-label={`Change the order of ${name}`}>
              change
            </button>
          )}
        </small>
        <small>
          {limits(queue)}
          {may("admin") && (
            <button type="button" class="quiet" onClick={() => onAsk("limits")} aria-label={`Change how many of ${name} run`}>
              change
            </button>
          )}
        </small>
        {config.slots !== null && (
          <meter min={0} max={config.slots} optimum={0} value={Math.min(used ?? 0, config.slots)} aria-label={`Slots of ${name} that are taken`} />
        )}
        <small>
          {most === null ? "any number may wait" : `${count(waiting)} of ${count(most)} wait`}
          {may("admin") && (
            <button type="button" class="quiet" onClick={() => onAsk("bound")} aria-label={`Change how many of ${name} may wait`}>
              change
            </button>
          )}
        </small>
        {most !== null && (
          <>
            <meter min={0} max={most} low={most * 0.8} high={most} optimum={0} value={Math.min(waiting, most)} aria-label={`Jobs of ${name} that wait`} />
            <small>one more {ON_FULL[config.on_full]}</small>
          </>
        )}
      </th>
      {STATES.map((state) => (
        <td key={state} class="number" data-label={state}>
          <To page="jobs" query={{ q: `${qualified("queue", name)} state:${state}` }} class={states[state] === 0 ? "zero" : state} aria-label={`${states[state]} ${state} in ${name}`}>
            {count(states[state])}
          </To>
        </td>
      ))}
      {may("operator") && (
        <td>
          <button type="button" onClick={() => onAsk(paused ? "resume" : "pause")} aria-label={`${paused ? "Resume" : "Pause"} ${name}`}>
            {paused ? "Resume" : "Pause"}
          </button>
        </td>
      )}
    </tr>
  );
}

/** How many of its jobs run and start, over all workers. */
function limits({ config: { slots, rate }, used, rate_left }: Queue): string {
  const taken = slots === null ? "" : `${count(used ?? 0)} of ${count(slots)} slots taken`;
  const starts = rate === null ? "" : `${count(rate.n)} start in ${seconds(rate.per)}, ${count(rate_left ?? rate.burst)} of ${count(rate.burst)} may now`;
  return [taken, starts].filter((limit) => limit !== "").join("; ") || "as many run as workers have slots";
}

/** How much of what has completed stays. */
function kept({ completed: { age, count: most } }: Retention): string {
  if (age == null && most == null) return "keeps all that has completed";
  const bounds = [age == null ? "" : chosen(age), most == null ? "" : `the newest ${count(most)}`];
  return `keeps ${bounds.filter((bound) => bound !== "").join(", at most ")}`;
}

interface PauseProps {
  what: "pause" | "resume";
  queue: Queue;
  onDone: () => void;
  onClose: () => void;
}

function PauseDialog({ what, queue, onDone, onClose }: PauseProps) {
  const isPause = what === "pause";
  const act = isPause ? pauseQueue : resumeQueue;
  const waiting = count(queue.states.available);
  return (
    <ActDialog
      title={isPause ? `Pause the queue ${queue.name}?` : `Resume the queue ${queue.name}?`}
      verb={isPause ? "Pause" : "Resume"}
      commands={{ longhaul: longhaul("queues", what, queue.name), curl: curl("POST", `queues/${encodeURIComponent(queue.name)}/${what}`) }}
      onDo={() =>
        act(queue.name).then(() => {
          notify(`The queue ${queue.name} is ${isPause ? "paused" : "resumed"}.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        {isPause
          ? `No worker takes anything of it until it is resumed. ${waiting} jobs wait now, and more may be enqueued; the ${count(queue.states.running)} that run go on to their end.`
          : `Workers take its jobs again: ${waiting} wait.`}
      </p>
    </ActDialog>
  );
}
