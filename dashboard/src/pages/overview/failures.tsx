import type { ErrorGroup } from "../../api/model";
import { Sparkline } from "../../parts/sparkline";
import { Time } from "../../parts/time";
import { To } from "../../parts/to";
import { count, times } from "../../words";

const SHOWN = 5;

/** What failed most lately, one line a kind of failure. */
export function Failures({ groups, span }: { groups: ErrorGroup[] | undefined; span: number }) {
  if (groups === undefined) return null;
  const newest = groups.toSorted((one, other) => Date.parse(other.last_at) - Date.parse(one.last_at)).slice(0, SHOWN);
  return (
    <section>
      <h2>Newest failures</h2>
      {newest.length === 0 && <p class="soft">Nothing has failed in this time.</p>}
      <ul class="rows failures">
        {newest.map((group) => (
          <li key={group.fingerprint}>
            <div>
              <To page="jobs" query={{ q: `error:${group.fingerprint}` }} class="message">
                {group.message}
              </To>
              <small>
                <bdi>{group.kind}</bdi>, {times(group.count)}, last <Time at={group.last_at} />
              </small>
            </div>
            <Sparkline values={group.spark} label={`${count(group.count)} ${group.count === 1 ? "failure" : "failures"} over time`} class="failed" />
          </li>
        ))}
      </ul>
      {groups.length > SHOWN && (
        <p>
          <To page="errors" query={{ window: span }}>
            All {count(groups.length)} kinds of failure
          </To>
        </p>
      )}
    </section>
  );
}
