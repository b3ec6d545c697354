import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import { type Acting, hasEnded, type Job, waitsForPerson } from "../../api/model";
import { actOnJobs, cancelJob, deleteJob, runAgain } from "../../api/routes";
import { useKeys } from "../../keys";
import { Copy } from "../../parts/copy";
import { addressOf } from "../../parts/to";
import { may } from "../../session";
import { AgainDialog } from "./again-dialog";

type Asked = "retry" | "edit" | "fork" | "cancel" | "priority" | "delete";

/** What may be done with a job, by the role of whoever looks and by its state. */
export function JobActions({ job, onDone }: { job: Job; onDone: () => void }) {
  const { route } = useLocation();
  const [asked, setAsked] = useState<Asked>();
  const hasIt = hasEnded(job.state);
  const isAgain = hasIt || waitsForPerson(job);
  const path = `jobs/${encodeURIComponent(job.id)}`;
  const ask = (what: Asked, isPossible: boolean) => () => isPossible && may("operator") && setAsked(what);
  useKeys({ r: ask("retry", isAgain), e: ask("edit", isAgain), f: ask("fork", true), c: ask("cancel", !hasIt), p: ask("priority", !hasIt), d: ask("delete", hasIt) });
  const done = (words: string) => {
    notify(words);
    onDone();
  };
  const close = () => setAsked(undefined);
  return (
    <div class="actions" role="group" aria-label="Actions">
      {may("operator") && (
        <>
          <button type="button" disabled={!isAgain} onClick={ask("retry", isAgain)}>
            Retry
          </button>
          <button type="button" disabled={!isAgain} onClick={ask("edit", isAgain)}>
            Edit and run again
          </button>
          <button type="button" onClick={ask("fork", true)}>
            Fork
          </button>
          <button type="button" disabled={hasIt} onClick={ask("cancel", !hasIt)}>
            Cancel
          </button>
          <button type="button" disabled={hasIt} onClick={ask("priority", !hasIt)}>
            Set priority
          </button>
          <button type="button" disabled={!hasIt} onClick={ask("delete", hasIt)}>
            Delete
          </button>
        </>
      )}
      <span class="copies">
        copy as <Copy text={curl("GET", path)}>curl</Copy>
        <Copy text={longhaul("jobs", "show", job.id)}>command</Copy>
        <Copy text={new URL(addressOf(path), location.href).href}>link</Copy>
      </span>
      {asked === "retry" && (
        <ActDialog
          title="Retry this job?"
          verb="Retry"
          commands={{ longhaul: longhaul("jobs", "retry", job.id), curl: curl("POST", `${path}/retry`) }}
          onDo={() => runAgain(job.id, "retry").then(() => done("It runs again."))}
          onClose={close}
        >
          <p>It runs again with all its attempts. Steps that it has completed are not done again.</p>
        </ActDialog>
      )}
      {(asked === "edit" || asked === "fork") && <AgainDialog job={job} what={asked} onDone={done} onClose={close} />}
      {asked === "cancel" && (
        <ActDialog
          title="Cancel this job?"
          verb="Cancel"
          commands={{ longhaul: longhaul("jobs", "cancel", job.id), curl: curl("POST", `${path}/cancel`) }}
          onDo={() => cancelJob(job.id).then(() => done(job.state === "running" ? "It was asked to stop." : "It was cancelled."))}
          onClose={close}
        >
          <p>{job.state === "running" ? "It is asked to stop, and is cut off if it has not within 10 seconds." : "It ends without a run."}</p>
        </ActDialog>
      )}
      {asked === "priority" && <PriorityDialog job={job} onDone={done} onClose={close} />}
      {asked === "delete" && (
        <ActDialog
          title="Delete this job?"
          verb="Delete"
          isFinal
          commands={{ longhaul: longhaul("jobs", "delete", job.id), curl: curl("DELETE", path) }}
          onDo={() =>
            deleteJob(job.id).then(() => {
              notify("The job was deleted.");
              route(addressOf("jobs"));
            })
          }
          onClose={close}
        >
          <p>Its output and its log go with it. There is no way back.</p>
        </ActDialog>
      )}
    </div>
  );
}

interface DialogProps {
  job: Job;
  onDone: (words: string) => void;
  onClose: () => void;
}

function PriorityDialog({ job, onDone, onClose }: DialogProps) {
  const [priority, setPriority] = useState(job.priority);
  const acting: Acting = { action: "set_priority", filter: { ids: [job.id] }, priority };
  return (
    <ActDialog
      title="Set its priority"
      verb="Set priority"
      isBlocked={!(Math.abs(priority) <= 100)}
      commands={{ curl: curl("POST", "jobs/actions", acting) }}
      onDo={async () => {
        const { done } = await actOnJobs(acting);
        // A job that has the priority already is left alone.
        onDone(done === 1 || priority === job.priority ? `Its priority is ${priority}.` : "It waits no longer, so its priority stays.");
      }}
      onClose={onClose}
    >
      <label class="field">
        Priority, −100 to 100, higher first
        <input data-first type="number" min={-100} max={100} required value={priority} onInput={({ currentTarget }) => setPriority(currentTarget.valueAsNumber)} />
      </label>
    </ActDialog>
  );
}
