import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { compact, exact, written } from "../../api/json";
import { hasEnded, type Job, waitsForPerson } from "../../api/model";
import { runAgain, type Way } from "../../api/routes";
import { Rounded } from "../../parts/json-text";
import { addressOf } from "../../parts/to";

interface Props {
  job: Job;
  /** The same job with other args, a new one like it, or either from one of its steps on. */
  what: "edit" | "fork" | { step: string };
  onDone: (words: string) => void;
  onClose: () => void;
}

/** True where a job may run again in place from one of its steps on: one that has completed has forgotten their outputs. */
export const mayRetryFrom = (job: Job): boolean => (hasEnded(job.state) && job.state !== "completed") || waitsForPerson(job);

/** Runs a job again, in place or as a new job, with its args or others, from its beginning or from a step. */
export function AgainDialog({ job, what, onDone, onClose }: Props) {
  const { route } = useLocation();
  const step = typeof what === "object" ? what.step : undefined;
  const isEdit = what === "edit";
  const [way, setWay] = useState<Way>(isEdit || (step !== undefined && mayRetryFrom(job)) ? "retry" : "fork");
  const before = written(job.args);
  const [text, setText] = useState(before);
  // Args that nobody touched are not sent, and neither is a value that is not shown here.
  const hasArgs = isEdit || text !== before;
  const fault = hasArgs ? faultOf(text) : "";
  const members = [...(step === undefined ? [] : [`"from_step":${JSON.stringify(step)}`]), ...(hasArgs ? [`"args":${text}`] : [])];
  const path = `jobs/${encodeURIComponent(job.id)}/${way}`;
  const inShell = [...(step === undefined ? [] : ["--from-step", step]), ...(hasArgs ? ["--args", fault === "" ? compact(exact(text)) : "…"] : [])];
  return (
    <ActDialog
      title={titleOf(isEdit, step)}
      verb={way === "fork" ? "Fork" : "Run again"}
      isBlocked={fault !== ""}
      commands={{ ...(text.length <= MOST && { longhaul: longhaul("jobs", way, job.id, ...inShell) }), curl: curl("POST", path, members.length === 0 ? undefined : bodyOf(members, fault)) }}
      onDo={() =>
        runAgain(job.id, way, members.length === 0 ? undefined : `{${members.join(",")}}`).then(({ id }) => {
          if (way === "retry") return onDone(hasArgs ? "It runs again, with the new args." : "It runs again.");
          onDone("This is the fork.");
          route(addressOf(`jobs/${encodeURIComponent(id)}`));
        })
      }
      onClose={onClose}
    >
      {step !== undefined && mayRetryFrom(job) && (
        <fieldset class="ways">
          <legend>Where</legend>
          {WAYS.map(([value, words]) => (
            <label key={value}>
              <input type="radio" name="way" checked={way === value} onChange={() => setWay(value)} /> {words}
            </label>
          ))}
        </fieldset>
      )}
      <label class="field">
        Args
        <textarea data-first rows={12} spellcheck={false} value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} aria-describedby="fault" />
      </label>
      <Rounded text={text} />
      <p id="fault" class={fault === "" ? "soft" : "error"} role="status">
        {fault || about(job, way, step, hasArgs)}
      </p>
    </ActDialog>
  );
}

const WAYS: [Way, string][] = [
  ["retry", "in place: this job runs again"],
  ["fork", "as a fork: a new job, and this one stays as it is"],
];

function titleOf(isEdit: boolean, step: string | undefined): string {
  if (step !== undefined) return `Run again from ${step}`;
  return isEdit ? "Edit its args and run it again" : "Fork this job";
}

function about({ state }: Job, way: Way, step: string | undefined, hasArgs: boolean): string {
  const who = way === "fork" ? "The fork has its queue, limits and labels, and all attempts. " : "";
  if (step !== undefined) return `${who}The step and those after it are done again; those before it keep their outputs.`;
  return `${who}${hasArgs || state === "completed" ? "Steps that it has completed are done again." : "Steps that it has completed are not done again."}`;
}

/** The most letters that stand in a command: a shell takes 128 KiB, and each key that is pressed writes it anew. */
const MOST = 20_000;

function bodyOf(members: string[], fault: string): string {
  const body = `{${members.join(",")}}`;
  if (body.length > MOST) return "@body.json";
  return fault === "" ? compact(exact(body)) : '{"args": …}';
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
