import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export const isHelpOpen = signal(false);

const KEYS: [string, string][] = [
  ["/", "search jobs"],
  ["g then o, j, q, e, s, w, k, b, a", "go to Overview, Jobs, Queues, Errors, Schedules, Workers, Kinds, Batches, Access"],
  ["j, k", "next and previous job of a list"],
  ["x", "select the job"],
  ["Enter", "open the job"],
  ["Esc", "clear the selection, close what is open"],
  ["r, e, f, c, p, d", "on a job: retry, edit and run again, fork, cancel, set priority, delete"],
  ["?", "these keys"],
];

/** The keys of the dashboard. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={() => (isHelpOpen.value = false)} aria-labelledby="help-title">
      <form method="dialog">
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {KEYS.map(([keys, does]) => (
            <div key={keys}>
              <dt>
                <kbd>{keys}</kbd>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <p class="ends">
          <button>Close</button>
        </p>
      </form>
    </dialog>
  );
}
