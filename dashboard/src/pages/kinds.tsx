import type { Kind } from "../api/model";
import { listKinds } from "../api/routes";
import { useLive } from "../live/read";
import { Empty } from "../parts/empty";
import { Time } from "../parts/time";
import { To } from "../parts/to";
import { Trouble } from "../parts/trouble";
import { qualified } from "../search";
import { useTitle } from "../title";
import { count, jobs, seconds } from "../words";

/** Kinds of jobs: who takes them, how long they take, and which wait for a worker that nobody is. */
export function Kinds() {
  const live = useLive(listKinds, { key: "kinds", every: 3_000, when: () => true });
  useTitle("Kinds");
  const kinds = live.value?.kinds ?? [];
  return (
    <>
      <h1>Kinds</h1>
      <Trouble error={live.error} />
      {live.value !== undefined && kinds.length === 0 && <Empty title="No kinds yet">A kind shows up here when a worker takes it or a job of it waits.</Empty>}
      {kinds.length > 0 && (
        <div class="wide">
          <table class="stacked">
            <thead>
              <tr>
                <th scope="col">Kind</th>
                <th scope="col">Waiting</th>
                <th scope="col" class="number">Workers</th>
                <th scope="col" class="number">Completed, 1 h</th>
                <th scope="col" class="number">Failed, 1 h</th>
                <th scope="col" class="number">Run p50</th>
                <th scope="col" class="number">Run p90</th>
                <th scope="col" class="number">Run p99</th>
                <th scope="col" class="number">Wait p99</th>
              </tr>
            </thead>
            <tbody>
              {kinds.map((kind) => (
                <tr key={kind.kind}>
                  <th scope="row">
                    <To page="jobs" query={{ q: qualified("kind", kind.kind) }} title={kind.kind}>{kind.kind}</To>
                    <Drift kind={kind} />
                  </th>
                  <td data-label="Waiting">
                    <Waiting kind={kind} />
                  </td>
                  <td class="number" data-label="Workers">{count(kind.workers)}</td>
                  <td class="number" data-label="Completed, 1 h">{count(kind.completed)}</td>
                  <td class="number" data-label="Failed, 1 h">{kind.failed > 0 ? <span class="error">{count(kind.failed)}</span> : 0}</td>
                  <td class="number" data-label="Run p50">{seconds(kind.run.p50)}</td>
                  <td class="number" data-label="Run p90">{seconds(kind.run.p90)}</td>
                  <td class="number" data-label="Run p99">{seconds(kind.run.p99)}</td>
                  <td class="number" data-label="Wait p99">{seconds(kind.wait.p99)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

/** Tells of jobs that no live worker takes: of a kind that none knows, or of a version that all are too old for. */
function Drift({ kind: { workers, known, versions, newest_supported } }: { kind: Kind }) {
  if (known || versions.length === 0) return null;
  const strange = [...new Set(versions.filter((version) => !version.known).map(({ version }) => version))];
  const isTooNew = newest_supported !== null && strange.some((version) => version > newest_supported);
  const words = isTooNew ? `version ${strange.join(", ")} waits, and workers know up to ${newest_supported}` : workers > 0 ? "no worker of its queue takes it" : "no worker takes it";
  return <span class="badge bad">{words}</span>;
}

function Waiting({ kind }: { kind: Kind }) {
  const waiting = kind.versions.filter(({ waiting }) => waiting > 0);
  if (waiting.length === 0) return <span class="soft">none</span>;
  return (
    <ul class="plain">
      {waiting.map(({ queue, version, waiting, oldest_at }) => (
        <li key={`${queue} ${version}`}>
          {jobs(waiting)}
          {waiting >= 1_000 && " or more"} in <bdi>{queue}</bdi>
          {version !== 1 && `, version ${version}`}, oldest <Time at={oldest_at} />
        </li>
      ))}
    </ul>
  );
}
