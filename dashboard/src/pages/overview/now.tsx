import { isLive } from "../../live/feed";
import type { Rates } from "../../live/rates";

/** What happens this minute, as the live feed tells it. */
export function Now({ rates }: { rates: Rates }) {
  const completed = rates.perSecond("completed");
  const failed = rates.perSecond("failed");
  const most = Math.max(1, ...rates.completed.map((value, at) => value + (rates.failed[at] ?? 0)));
  return (
    <div class="card now-card">
      <h2>Now</h2>
      {isLive.value ? (
        <>
          <p>
            <strong class="number">{perSecond(completed)}</strong> completed / s
            {failed > 0 && (
              <>
                , <strong class="number error">{perSecond(failed)}</strong> failed / s
              </>
            )}
          </p>
          <svg class="strip" role="img" aria-label="Jobs that ended in each of the last 60 seconds" viewBox="0 0 240 40" preserveAspectRatio="none">
            {rates.completed.map((value, at) => {
              const bad = rates.failed[at] ?? 0;
              const [good, below] = [(value / most) * 38, (bad / most) * 38];
              return (
                <g key={at}>
                  <rect x={at * 4} y={39} width="3" height="1" class="none" />
                  <rect x={at * 4} y={40 - good} width="3" height={good} class="completed" />
                  <rect x={at * 4} y={40 - good - below} width="3" height={below} class="failed" />
                </g>
              );
            })}
          </svg>
          <small>the last minute, second by second</small>
        </>
      ) : (
        <p class="soft">Changes are not told right now. Numbers are read every few seconds.</p>
      )}
    </div>
  );
}

const perSecond = (value: number) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : String(Math.round(value)));
