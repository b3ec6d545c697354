import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import { compact, exact, written } from "../../api/json";
import { type Acting, hasEnded, type Job } from "../../api/model";
import { actOnJobs, cancelJob, deleteJob, retryJob } from "../../api/routes";
import { useKeys } from "../../keys";
import { Copy } from "../../parts/copy";
import { Rounded } from "../../parts/json-text";
import { addressOf } from "../../parts/to";
import { may } from "../../session";

type Asked = "retry" | "edit" | "cancel" | "priority" | "delete";

/** What may be done with a job, by the role of whoever looks and by its state. */
export function JobActions({ job, onDone }: { job: Job; onDone: () => void }) {
  const { route } = useLocation();
  const [asked, setAsked] = useState<Asked>();
  const hasIt = hasEnded(job.state);
  const path = `jobs/${encodeURIComponent(job.id)}`;
  const ask = (what: Asked, isPossible: boolean) => () => isPossible && may("operator") && setAsked(what);
  useKeys({ r: ask("retry", hasIt), e: ask("edit", hasIt), c: ask("cancel", !hasIt), p: ask("priority", !hasIt), d: ask("delete", hasIt) });
  const done = (words: string) => {
    notify(words);
    onDone();
  };
  const close = () => setAsked(undefined);
  return (
    <div class="actions" role="group" aria-label="Actions">
      {may("operator") && (
        <>
          <button type="button" disabled={!hasIt} onClick={ask("retry", hasIt)}>
            Retry
          </button>
          <button type="button" disabled={!hasIt} onClick={ask("edit", hasIt)}>
            Edit and run again
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
          onDo={() => retryJob(job.id).then(() => done("It runs again."))}
          onClose={close}
        >
          <p>It runs again with all its attempts. Steps that it has completed are not done again.</p>
        </ActDialog>
      )}
      {asked === "edit" && <EditDialog job={job} path={path} onDone={done} onClose={close} />}
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

function EditDialog({ job, path, onDone, onClose }: DialogProps & { path: string }) {
  const [text, setText] = useState(written(job.args));
  const fault = faultOf(text);
  return (
    <ActDialog
      title="Edit its args and run it again"
      verb="Run again"
      isBlocked={fault !== ""}
      commands={{ curl: curl("POST", `${path}/retry`, commandBody(text, fault)) }}
      onDo={() => retryJob(job.id, text).then(() => onDone("It runs again, with the new args."))}
      onClose={onClose}
    >
      <label class="field">
        Args
        <textarea data-first rows={12} spellcheck={false} value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} aria-describedby="fault" />
      </label>
      <Rounded text={text} />
      <p id="fault" class={fault === "" ? "soft" : "error"} role="status">
        {fault || "Steps that it has completed are done again."}
      </p>
    </ActDialog>
  );
}

/** The most letters that stand in a command: a shell takes 128 KiB, and each key that is pressed writes it anew. */
const MOST = 20_000;

function commandBody(text: string, fault: string): string {
  if (text.length > MOST) return "@body.json";
  return fault === "" ? compact({ args: exact(text) }) : '{"args": …}';
}

/** What the server shows in place of a value that nobody is to see. */
const REDACTED = "[redacted]";
const isHidden = (value: unknown): boolean =>
  value === REDACTED || (typeof value === "object" && value !== null && Object.values(value).some(isHidden));

function faultOf(text: string): string {
  try {
    if (!isHidden(JSON.parse(text))) return "";
    return `${REDACTED} stands for a value that is not shown here, and the job would get that word instead. Write the value in its place, or use Retry, which keeps it.`;
  } catch (error) {
    return (error as Error).message;
  }
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
