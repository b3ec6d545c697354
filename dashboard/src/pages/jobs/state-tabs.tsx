import { type Queue, STATES } from "../../api/model";
import { To } from "../../parts/to";
import { asksOnly, valuesOf, withQualifier } from "../../search";
import { count, roughly } from "../../words";

/** The states with the counts of their jobs, each a search. The counts are the queues' own, so they are told where nothing else is asked for. */
export function StateTabs({ text, queues }: { text: string; queues: Queue[] | undefined }) {
  const chosen = valuesOf(text, "state");
  const named = valuesOf(text, "queue");
  const shown = asksOnly(text, ["state", "queue"]) ? queues?.filter(({ name }) => named.length === 0 || named.includes(name)) : undefined;
  const counts = STATES.map((state) => shown?.reduce((sum, queue) => sum + queue.states[state], 0));
  const all = counts.every((each) => each !== undefined) ? counts.reduce((sum: number, each) => sum + (each ?? 0), 0) : undefined;
  const tabs = [["all", all] as const, ...STATES.map((state, at) => [state, counts[at]] as const)];
  return (
    <nav class="tabs" aria-label="States">
      {tabs.map(([state, jobs]) => {
        const isShown = state === "all" ? chosen.length === 0 : chosen.includes(state);
        const next = withQualifier(text, "state", state === "all" ? undefined : state);
        return (
          <To key={state} page="jobs" query={{ q: next }} class={state} aria-current={isShown ? "true" : undefined}>
            {state} {jobs !== undefined && <span title={count(jobs)}>{roughly(jobs)}</span>}
          </To>
        );
      })}
    </nav>
  );
}
