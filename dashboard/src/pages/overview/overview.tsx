import { useLocation } from "preact-iso";
import { getStats, listErrors, listQueues } from "../../api/routes";
import { useRates } from "../../live/rates";
import { useLive } from "../../live/read";
import { Chart } from "../../parts/chart";
import { Choices } from "../../parts/choices";
import { Spread } from "../../parts/spread";
import { Trouble } from "../../parts/trouble";
import { useTitle } from "../../title";
import { spanOf, stepOf, WINDOWS } from "../../windows";
import { Failures } from "./failures";
import { KindRates, QueueRates } from "./rate-tables";
import { Now } from "./now";
import { OldestWaiting } from "./oldest-waiting";
import { StateTiles } from "./state-tiles";

/** All queues together: what is there, how fast it goes, what went wrong. */
export function Overview() {
  const { query } = useLocation();
  const span = spanOf(query.window);
  const window = { window: span, step: stepOf(span) };
  const queues = useLive(listQueues, { key: "queues", every: 1_000, when: () => true });
  const stats = useLive((signal) => getStats(window, signal), { key: `stats ${span}`, every: 5_000, when: () => true });
  const errors = useLive((signal) => listErrors({ window: span }, signal), { key: `errors ${span}`, every: 5_000, when: ({ state }) => state === "failed" });
  const rates = useRates();
  useTitle("Overview");
  const series = stats.value?.series ?? [];
  const line = (label: string, colour: string, of: (sample: (typeof series)[number]) => number) => ({ label, colour, values: series.map(of) });
  return (
    <>
      <div class="head">
        <h1>Overview</h1>
        <Choices label="Window" page="" query={{}} name="window" chosen={span} choices={WINDOWS} />
      </div>
      <Trouble error={queues.error ?? stats.error ?? errors.error} />
      <StateTiles queues={queues.value?.queues} />
      <div class="cards">
        <Now rates={rates} />
        <Spread title="Waited" values={stats.value?.wait} />
        <Spread title="Ran for" values={stats.value?.run} />
        <OldestWaiting stats={stats.value} />
      </div>
      <section class="card">
        <h2>History</h2>
        <Chart
          label={`Jobs enqueued, completed and failed over the last ${WINDOWS.find(([value]) => value === span)?.[1] ?? ""}`}
          times={series.map(({ at }) => Date.parse(at) / 1_000)}
          lines={[
            line("enqueued", "soft", ({ enqueued }) => enqueued),
            line("completed", "completed", ({ completed }) => completed),
            line("failed", "failed", ({ failed }) => failed),
            line("retried", "scheduled", ({ retried }) => retried),
          ]}
        />
      </section>
      <QueueRates stats={stats.value} queues={queues.value?.queues} rates={rates} />
      <KindRates stats={stats.value} />
      <Failures groups={errors.value?.groups} span={span} />
    </>
  );
}
