import type { Times } from "../api/model";
import { seconds } from "../words";

/** A spread of times: the middle, and how bad it gets. */
export function Spread({ title, values }: { title: string; values: Times | undefined }) {
  return (
    <div class="card spread">
      <h2>{title}</h2>
      <dl>
        {(["p50", "p90", "p99", "max"] as const).map((name) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{seconds(values?.[name])}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
