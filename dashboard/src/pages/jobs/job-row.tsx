import { Progress } from "../../parts/progress";
import { StateBadge } from "../../parts/state";
import { Time } from "../../parts/time";
import { ToJob } from "../../parts/to";
import { between, tail } from "../../words";
import { now } from "../../live/clock";
import type { Row } from "./listing";

interface Props {
  row: Row;
  /** Its place in the list, from 0. */
  index: number;
  isPicked: boolean;
  isAt: boolean;
  onPick: (row: Row) => void;
}

/** A job in the list. All rows are of one height, so that those that are not seen need not exist. */
export function JobRow({ row, index, isPicked, isAt, onPick }: Props) {
  const name = `${row.kind} ${row.id}`;
  const isBatch = row.children !== null && row.children !== undefined;
  return (
    <tr aria-rowindex={index + 2} class={`${isPicked ? "picked" : ""} ${isAt ? "at" : ""}`} data-id={row.id}>
      <td class="pick">
        <input type="checkbox" aria-label={`Select ${name}`} checked={isPicked} onChange={() => onPick(row)} />
      </td>
      <td class="what">
        <div>
          <ToJob id={row.id}>{row.kind}</ToJob> <code title={row.id}>{tail(row.id)}</code>
        </div>
        <div class="says">
          {row.percent !== null && <Progress percent={row.percent} label={`Progress of ${name}`} />}
          {isBatch && row.children && (
            <span>
              {row.children.completed + row.children.failed + row.children.cancelled} of {row.children.total} children
            </span>
          )}
          <span class={row.state === "failed" || row.state === "scheduled" ? "error" : ""} title={row.says}>
            {row.says}
          </span>
        </div>
      </td>
      <td class="is">
        <StateBadge state={row.state} />
      </td>
      <td class="queue" title={row.queue}>
        {row.queue}
      </td>
      <td class="tries">
        <span title={`attempt ${row.attempt} of ${row.max_attempts}`}>
          {row.attempt}/{row.max_attempts}
        </span>
      </td>
      <td class="took">
        <Took row={row} />
      </td>
      <td class="when">
        <Time at={row.created_at} />
      </td>
    </tr>
  );
}

/** How long it ran, or has run so far; when it will, where it waits for its time. */
function Took({ row }: { row: Row }) {
  if (row.state === "running" && row.started_at !== null) return <>{between(row.started_at, now.value)}</>;
  if (row.state === "scheduled") return <Time at={row.run_at} />;
  if (row.started_at !== null && row.finished_at !== null) return <>{between(row.started_at, row.finished_at)}</>;
  return <>—</>;
}
