import { useState } from "preact/hooks";
import { ActDialog } from "../../acts/act-dialog";
import { curl, longhaul } from "../../acts/commands";
import { notify } from "../../acts/notices";
import type { LimitKey } from "../../api/model";
import { keyPath, pauseKey, resumeKey } from "../../api/routes";
import { count, jobs } from "../../words";

interface Props {
  what: "pause" | "resume";
  of: LimitKey;
  onDone: () => void;
  onClose: () => void;
}

/** A limit key is paused, for a time or until it is resumed, or goes on. */
export function KeyPauseDialog({ what, of: { key, waiting, running }, onDone, onClose }: Props) {
  const [minutes, setMinutes] = useState(NaN);
  const isPause = what === "pause";
  const seconds = Number.isNaN(minutes) ? undefined : minutes * 60;
  const pause = seconds === undefined ? {} : { for: seconds };
  const forTime = isPause && seconds !== undefined ? ["--for", `${seconds}s`] : [];
  const waits = `${waiting >= 1_000 ? "1,000 jobs or more" : jobs(waiting)} ${waiting === 1 ? "waits" : "wait"}`;
  return (
    <ActDialog
      title={isPause ? `Pause the limit key ${key}?` : `Resume the limit key ${key}?`}
      verb={isPause ? "Pause" : "Resume"}
      commands={{ longhaul: longhaul("keys", what, key, ...forTime), curl: curl("POST", `${keyPath(key)}/${what}`, isPause ? pause : undefined) }}
      onDo={() =>
        (isPause ? pauseKey(key, pause) : resumeKey(key)).then(() => {
          notify(`The limit key ${key} is ${isPause ? "paused" : "resumed"}.`);
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>
        {isPause
          ? `No worker takes a job of it, in whatever queue. ${waits} now, and ${waiting === 1 ? "keeps its place" : "keep their places"}; what runs (${count(running)}) goes on to its end.`
          : `Workers take its jobs again, as far as its limits admit them: ${waits}.`}
      </p>
      {isPause && (
        <label class="field">
          Minutes; until it is resumed where this is empty
          <input data-first type="number" min={0} max={5_256_000} step="any" value={Number.isNaN(minutes) ? "" : minutes} onInput={({ currentTarget }) => setMinutes(currentTarget.valueAsNumber)} />
        </label>
      )}
    </ActDialog>
  );
}
