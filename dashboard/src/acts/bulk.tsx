import { useEffect, useRef, useState } from "preact/hooks";
import { type Action, type Filter, actOnJobs } from "../api/routes";
import { count, jobs } from "../words";
import { ActDialog } from "./act-dialog";
import { curl, type Commands, longhaul } from "./commands";
import { notify } from "./notices";

export const VERBS: Record<Action, { verb: string; done: string }> = {
  retry: { verb: "Retry", done: "run again" },
  cancel: { verb: "Cancel", done: "cancelled" },
  delete: { verb: "Delete", done: "deleted" },
  set_priority: { verb: "Set priority", done: "have the new priority" },
};

/** Jobs that one request changes, and the most that are counted before. */
const PORTION = 1_000;
const COUNTED = 10_000;

interface Props {
  action: Action;
  filter: Filter;
  onClose: () => void;
  onDone: () => void;
}

/** An action on many jobs: first it counts them, then it acts portion by portion and shows how far it is. */
export function BulkDialog({ action, filter, onClose, onDone }: Props) {
  const { verb, done } = VERBS[action];
  const [found, setFound] = useState<{ matched: number; complete: boolean }>();
  const [trouble, setTrouble] = useState("");
  const [acted, setActed] = useState<number>();
  const [priority, setPriority] = useState(0);
  const isStopped = useRef(false);
  const acting = { action, filter, ...(action === "set_priority" && { priority }) };
  useEffect(() => {
    const over = new AbortController();
    actOnJobs({ ...acting, dry_run: true, limit: COUNTED }, over.signal).then(setFound, (error: Error) => {
      if (!over.signal.aborted) setTrouble(error.message);
    });
    return () => {
      over.abort();
      isStopped.current = true;
    };
  }, []);

  const doIt = async () => {
    let sum = 0;
    try {
      for (let isComplete = false; !isComplete && !isStopped.current; ) {
        const answer = await actOnJobs({ ...acting, limit: PORTION });
        sum += answer.done;
        setActed(sum);
        isComplete = answer.complete || answer.done === 0;
      }
      notify(`${jobs(sum)} ${done}.`);
    } finally {
      onDone();
    }
  };
  const number = found === undefined ? "…" : `${found.complete ? "" : "at least "}${jobs(found.matched)}`;
  return (
    <ActDialog
      title={found === undefined ? `${verb}: counting the jobs …` : `${verb} ${number}?`}
      verb={verb}
      isFinal={action === "delete"}
      isBlocked={found === undefined || found.matched === 0}
      commands={commandsFor(action, filter, priority)}
      onDo={doIt}
      onClose={onClose}
    >
      {trouble !== "" && <p class="trouble">{trouble}</p>}
      <p>{ABOUT[action]}</p>
      {action === "set_priority" && (
        <label class="field">
          Priority, −100 to 100, higher first
          <input data-first type="number" min={-100} max={100} required value={priority} onInput={({ currentTarget }) => setPriority(currentTarget.valueAsNumber || 0)} />
        </label>
      )}
      {acted !== undefined && found !== undefined && (
        <p class="progress">
          <progress max={Math.max(found.matched, acted)} value={acted} aria-label="Jobs done" />
          <span class="number">
            {count(acted)} of {number}
          </span>
        </p>
      )}
    </ActDialog>
  );
}

const ABOUT: Record<Action, string> = {
  retry: "Jobs that have ended run again, with all their attempts.",
  cancel: "Waiting jobs end at once. Running ones are asked to stop, and are cut off if they have not within 10 seconds.",
  delete: "Jobs that have ended are removed with their output and their log. There is no way back.",
  set_priority: "Jobs that wait are moved forward or back in their queues.",
};

function commandsFor(action: Action, filter: Filter, priority: number): Commands {
  const words = filter.ids ?? (filter.q ? [filter.q] : []);
  const asPriority = action === "set_priority";
  return {
    longhaul: longhaul("jobs", asPriority ? "priority" : action, ...(asPriority ? [String(priority)] : []), ...words),
    curl: curl("POST", "jobs/actions", { action, filter, ...(asPriority && { priority }) }),
  };
}
