import { useState } from "preact/hooks";
import { notify } from "../../acts/notices";
import type { Job, Step } from "../../api/model";
import { now } from "../../live/clock";
import { may } from "../../session";
import { between, milliseconds } from "../../words";
import { AgainDialog } from "./again-dialog";

interface Bar {
  step: Step;
  from: number;
  to: number;
  isOpen: boolean;
}

/** The steps of each attempt as a waterfall, all on one scale. Each is where a run may begin anew, in place or as a fork. */
export function Steps({ job, steps, onDone }: { job: Job; steps: Step[]; onDone: () => void }) {
  const [begun, setBegun] = useState<string>();
  const { state, attempt } = job;
  const isRunning = state === "running";
  // A completed job has forgotten the outputs of its steps.
  const mayBegin = may("operator") && state !== "completed";
  if (steps.length === 0) return null;
  const attempts = [...new Set(steps.map((step) => step.attempt))].sort((one, other) => one - other);
  const groups = attempts.map((number) => {
    const isOpen = isRunning && number === attempt;
    const bars = steps.filter((step) => step.attempt === number).map((step) => barOf(step, isOpen));
    bars.sort((one, other) => one.from - other.from);
    const from = Math.min(...bars.map((bar) => bar.from));
    return { number, bars, from, span: Math.max(...bars.map((bar) => bar.to)) - from };
  });
  const longest = Math.max(1, ...groups.map(({ span }) => span));
  return (
    <section>
      <h2>Steps</h2>
      {groups.map(({ number, bars, from, span }) => (
        <div key={number} class="waterfall">
          {(groups.length > 1 || number !== 1) && (
            <h3>
              Attempt {number} <small>{milliseconds(span)}</small>
            </h3>
          )}
          <ol class={mayBegin ? "steerable" : ""}>
            {bars.map(({ step, from: begin, to, isOpen }) => (
              <li key={step.name}>
                <span class="name" title={step.name}>
                  {step.name}
                </span>
                <span class="track">
                  <span
                    class={isOpen ? "bar open" : "bar"}
                    style={{ left: `${((begin - from) / longest) * 100}%`, width: `${Math.max(0.6, ((to - begin) / longest) * 100)}%` }}
                  />
                </span>
                <span class="number">{step.started_at === null ? "—" : between(step.started_at, to)}</span>
                {mayBegin && (
                  <button type="button" class="quiet" onClick={() => setBegun(step.name)} aria-label={`Run again from ${step.name}`}>
                    run again
                  </button>
                )}
              </li>
            ))}
          </ol>
        </div>
      ))}
      {begun !== undefined && (
        <AgainDialog
          job={job}
          what={{ step: begun }}
          onDone={(words) => {
            notify(words);
            onDone();
          }}
          onClose={() => setBegun(undefined)}
        />
      )}
    </section>
  );
}

/** A step that has not ended goes on until now, where its attempt does. */
function barOf(step: Step, isRunning: boolean): Bar {
  const ended = step.finished_at === null ? undefined : Date.parse(step.finished_at);
  const isOpen = ended === undefined && isRunning;
  const from = step.started_at === null ? (ended ?? now.value) : Date.parse(step.started_at);
  return { step, from, to: Math.max(from, ended ?? (isOpen ? now.value : from)), isOpen };
}
