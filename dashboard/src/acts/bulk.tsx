import { useEffect, useRef, useState } from "preact/hooks";
import type { Acted, Action } from "../api/model";
import { type Filter, actOnJobs } from "../api/routes";
import { words } from "../search";
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
  const [found, setFound] = useState<Acted>();
  const [trouble, setTrouble] = useState("");
  const [acted, setActed] = useState<number>();
  const [priority, setPriority] = useState(0);
  const isStopped = useRef(false);
  const acting = { action, filter, ...(action === "set_priority" && { priority }) };
  // Counted anew for another priority, because jobs that have it already are left alone.
  useEffect(() => {
    const over = new AbortController();
    setFound(undefined);
    setTrouble("");
    actOnJobs({ ...acting, dry_run: true, limit: COUNTED }, over.signal).then(setFound, (error: Error) => {
      if (!over.signal.aborted) setTrouble(error.message);
    });
    return () => over.abort();
  }, [priority]);
  useEffect(
    () => () => {
      isStopped.current = true;
    },
    [],
  );

  const doIt = async () => {
    // What was counted is done, and no more: a job that is retried may fail again meanwhile, and one that is asked to stop may be asked
    // again.
    const most = found?.complete === true ? found.done : Infinity;
    let sum = 0;
    let isComplete = false;
    try {
      while (!isComplete && sum < most && !isStopped.current) {
        const answer = await actOnJobs({ ...acting, limit: Math.min(PORTION, most - sum) });
        sum += answer.done;
        setActed(sum);
        // A portion that changed nothing would be the same one again.
        isComplete = answer.complete || answer.done === 0;
      }
      notify(`${jobs(sum)} ${done}.`);
    } finally {
      onDone();
    }
  };
  const number = found === undefined ? "…" : `${found.complete ? "" : "at least "}${jobs(found.done)}`;
  return (
    <ActDialog
      title={found === undefined ? `${verb}: counting the jobs …` : `${verb} ${number}?`}
      verb={verb}
      isFinal={action === "delete"}
      isBlocked={found === undefined || found.done === 0}
      commands={commandsFor(action, filter, priority)}
      onDo={doIt}
      onClose={onClose}
    >
      {trouble !== "" && <p class="trouble">{trouble}</p>}
      <p>
        {ABOUT[action]}
        {found !== undefined && found.matched > found.done && ` ${count(found.matched)} match, of which it is for ${count(found.done)}.`}
      </p>
      {action === "set_priority" && (
        <label class="field">
          Priority, −100 to 100, higher first
          <input data-first type="number" min={-100} max={100} required value={priority} onInput={({ currentTarget }) => setPriority(currentTarget.valueAsNumber || 0)} />
        </label>
      )}
      {acted !== undefined && found !== undefined && (
        <p class="progress">
          <progress max={Math.max(found.done, acted)} value={acted} aria-label="Jobs done" />
          <span class="number">
            {acted > found.done ? `${jobs(acted)} so far` : `${count(acted)} of ${number}`}
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
  const named = filter.ids ?? words(filter.q ?? "").map(({ text }) => text);
  const asPriority = action === "set_priority";
  return {
    // The command line acts on all jobs there are only where it is told which.
    ...(!asPriority && named.length > 0 && { longhaul: longhaul("jobs", action, ...named) }),
    curl: curl("POST", "jobs/actions", { action, filter, ...(asPriority && { priority }) }),
  };
}
