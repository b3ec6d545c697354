import { useLocation } from "preact-iso";
import { useState } from "preact/hooks";
import { act, base, type Job, listJobs, STATES } from "../api";
import { useLive } from "../live";
import { Confirm, Progress, StateBadge, Time, To, Trouble } from "../parts";
import { filterOf, parseSearch, queryOf, withQualifier } from "../search";
import { jobs as jobsIn, quoted } from "../words";

type Action = "cancel" | "retry" | "delete";
interface Meant {
  action: Action;
  filter: Record<string, unknown>;
  matched: number;
}

const DONE: Record<Action, string> = { cancel: "cancelled", retry: "run again", delete: "deleted" };

/** All jobs: search, and actions on those that are picked or on all that match. */
export function Jobs() {
  const { query, route } = useLocation();
  const text = query.q ?? "";
  const cursor = query.cursor ?? "";
  const search = parseSearch(text);
  const listed = queryOf(search);
  listed.set("limit", "50");
  if (cursor !== "") listed.set("cursor", cursor);
  const page = useLive((signal) => listJobs(listed, signal), 2_000, listed.toString());
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [meant, setMeant] = useState<Meant>();
  const [told, setTold] = useState("");

  const go = (q: string) => {
    setPicked(new Set());
    route(`${base}jobs${q === "" ? "" : `?q=${encodeURIComponent(q)}`}`);
  };
  const ask = async (action: Action) => {
    const filter = picked.size > 0 ? { ids: [...picked] } : filterOf(search);
    try {
      const { matched } = await act(action, filter, { dry_run: true, limit: 10_000 });
      setMeant({ action, filter, matched });
    } catch (error) {
      setTold((error as Error).message);
    }
  };
  const doIt = async ({ action, filter }: Meant) => {
    let done = 0;
    try {
      for (;;) {
        const acted = await act(action, filter, { limit: 1_000 });
        done += acted.done;
        setTold(`${jobsIn(done)} ${DONE[action]}${acted.complete ? "." : " so far …"}`);
        if (acted.complete || acted.done === 0) break;
      }
    } catch (error) {
      setTold(`${jobsIn(done)} ${DONE[action]}, then: ${(error as Error).message}`);
    }
    setPicked(new Set());
    page.again();
  };
  const shown = page.value?.jobs ?? [];
  return (
    <>
      <h1>Jobs</h1>
      <search>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            go(String(new FormData(event.currentTarget).get("q") ?? "").trim());
          }}
        >
          <label>
            Search
            <input name="q" type="search" key={text} defaultValue={text} placeholder="state:failed queue:mail label.tenant:7 words" list="qualifiers" />
          </label>
          <datalist id="qualifiers">
            {STATES.map((state) => (
              <option key={state} value={withQualifier(text, "state", state)} />
            ))}
          </datalist>
          <button>Search</button>
        </form>
      </search>
      <nav aria-label="States" class="filters">
        {["all", ...STATES].map((state) => {
          const isShown = state === "all" ? search.state.length === 0 : search.state.includes(state);
          return (
            <button key={state} type="button" aria-pressed={isShown} onClick={() => go(withQualifier(text, "state", state === "all" ? undefined : state))}>
              {state}
            </button>
          );
        })}
      </nav>
      <p class="actions" role="group" aria-label="Actions">
        <span>{picked.size > 0 ? `${jobsIn(picked.size)} picked:` : "All that match:"}</span>
        {(["retry", "cancel", "delete"] as const).map((action) => (
          <button key={action} type="button" onClick={() => void ask(action)}>
            {action}
          </button>
        ))}
        <output>{told}</output>
      </p>
      <Trouble error={page.error} />
      <table>
        <thead>
          <tr>
            <th scope="col">
              <input
                type="checkbox"
                aria-label="Pick all on this page"
                checked={shown.length > 0 && shown.every(({ id }) => picked.has(id))}
                onChange={({ currentTarget }) => setPicked(new Set(currentTarget.checked ? shown.map(({ id }) => id) : []))}
              />
            </th>
            <th scope="col">Job</th>
            <th scope="col">State</th>
            <th scope="col">Queue</th>
            <th scope="col">Attempt</th>
            <th scope="col">Enqueued</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((job) => (
            <Row
              key={job.id}
              job={job}
              isPicked={picked.has(job.id)}
              onPick={() => {
                const next = new Set(picked);
                if (!next.delete(job.id)) next.add(job.id);
                setPicked(next);
              }}
            />
          ))}
        </tbody>
      </table>
      {page.value !== undefined && shown.length === 0 && <p>No job matches.</p>}
      <p class="pages">
        {cursor !== "" && <To page={`jobs?q=${encodeURIComponent(text)}`}>Newest</To>}
        {page.value?.next && <To page={`jobs?q=${encodeURIComponent(text)}&cursor=${encodeURIComponent(page.value.next)}`}>Older</To>}
      </p>
      {meant !== undefined && (
        <Confirm
          question={`${meant.action} ${meant.matched >= 10_000 ? "at least " : ""}${jobsIn(meant.matched)}?`}
          verb={meant.action}
          command={`curl -X POST ${quoted(new URL("../api/jobs/actions", new URL(base, location.href)).href)} -H 'content-type: application/json' -d ${quoted(JSON.stringify({ action: meant.action, filter: meant.filter }))}`}
          onAnswer={(isYes) => {
            setMeant(undefined);
            if (isYes) void doIt(meant);
          }}
        />
      )}
    </>
  );
}

function Row({ job, isPicked, onPick }: { job: Job; isPicked: boolean; onPick: () => void }) {
  const name = `${job.kind} ${job.id}`;
  return (
    <tr>
      <td>
        <input type="checkbox" aria-label={`Pick ${name}`} checked={isPicked} onChange={onPick} />
      </td>
      <td>
        <To page={`jobs/${encodeURIComponent(job.id)}`}>{job.kind}</To> <small>{job.id}</small>
        {job.state === "running" && job.progress !== null && <Progress percent={job.progress.percent} label={`Progress of ${name}`} />}
        {job.state === "failed" && <p class="error">{job.errors.at(-1)?.message}</p>}
      </td>
      <td>
        <StateBadge state={job.state} />
      </td>
      <td>{job.queue}</td>
      <td>
        {job.attempt} of {job.max_attempts}
      </td>
      <td>
        <Time at={job.created_at} />
      </td>
    </tr>
  );
}
