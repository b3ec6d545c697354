import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import { compact, exact } from "../../api/json";
import type { Job } from "../../api/model";
import { sendSignal, signalPath } from "../../api/routes";
import { may } from "../../session";

/** Sends the signal that a job waits for. */
export function SendSignal({ job, name }: { job: Job; name: string }) {
  const [isAsked, setAsked] = useState(false);
  const [text, setText] = useState("");
  if (!may("operator")) return null;
  const value = text.trim() === "" ? "null" : text;
  const fault = faultOf(value);
  const sent = fault === "" ? compact(exact(value)) : "…";
  return (
    <>
      <button type="button" onClick={() => setAsked(true)}>
        Send signal
      </button>
      {isAsked && (
        <ActDialog
          title={`Send the signal ${name}`}
          verb="Send"
          isBlocked={fault !== ""}
          commands={{ longhaul: longhaul("jobs", "signal", job.id, name, sent), curl: curl("POST", signalPath(job.id, name), sent) }}
          onDo={() =>
            sendSignal(job.id, name, value).then(({ accepted }) => notify(accepted ? `The signal ${name} was sent.` : `An earlier signal ${name} stands: the first of a name wins.`))
          }
          onClose={() => setAsked(false)}
        >
          <p>The job goes on with this value. The first signal of a name wins; a later one changes nothing.</p>
          <label class="field">
            Value, as JSON; null where this is empty
            <textarea data-first rows={4} spellcheck={false} placeholder='{"approved": true}' value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} aria-describedby="signal-fault" />
          </label>
          <p id="signal-fault" class="error" role="status">
            {fault}
          </p>
        </ActDialog>
      )}
    </>
  );
}

function faultOf(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}
