import type { State } from "../api/model";

/** A state, by its word and its colour. */
export function StateBadge({ state }: { state: State }) {
  return <span class={`state ${state}`}>{state}</span>;
}
