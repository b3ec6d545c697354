import { VERBS } from "../../acts/bulk";
import type { Action } from "../../api/model";
import { may } from "../../session";
import { jobs } from "../../words";

const ACTIONS: Action[] = ["retry", "cancel", "set_priority", "delete"];

interface Props {
  picked: number;
  isAll: boolean;
  onAll: () => void;
  onClear: () => void;
  onAct: (action: Action) => void;
}

/** What is selected, and what may be done with it. */
export function Selection({ picked, isAll, onAll, onClear, onAct }: Props) {
  if (!may("operator")) return null;
  const isAny = isAll || picked > 0;
  return (
    <div class="selection" role="group" aria-label="Selection">
      <span>{isAll ? "All that match are selected" : picked > 0 ? `${jobs(picked)} selected` : "Nothing is selected"}</span>
      {!isAll && (
        <button type="button" class="quiet" onClick={onAll}>
          Select all that match
        </button>
      )}
      {isAny && (
        <button type="button" class="quiet" onClick={onClear}>
          Clear selection
        </button>
      )}
      <span class="acts">
        {ACTIONS.map((action) => (
          <button key={action} type="button" disabled={!isAny} onClick={() => onAct(action)}>
            {VERBS[action].verb}
          </button>
        ))}
      </span>
    </div>
  );
}
