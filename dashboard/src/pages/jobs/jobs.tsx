import { useLocation } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { BulkDialog } from "../../acts/bulk";
import type { Action } from "../../api/model";
import type { Filter } from "../../api/routes";
import { listQueues } from "../../api/routes";
import { useKeys } from "../../keys";
import { useLive } from "../../live/read";
import { Empty } from "../../parts/empty";
import { addressOf } from "../../parts/to";
import { Trouble } from "../../parts/trouble";
import { valuesOf } from "../../search";
import { useTitle } from "../../title";
import { count, jobs as jobsIn } from "../../words";
import { JobRow } from "./job-row";
import type { Row } from "./listing";
import { SearchBox } from "./search-box";
import { Selection } from "./selection";
import { StateTabs } from "./state-tabs";
import { useFresh, useListing } from "./use-listing";
import { useNarrow } from "./use-narrow";
import { useWindow } from "./use-window";

/** The height of a row, as the style has it. */
const HEIGHT = 52;
const HEIGHT_NARROW = 84;
/** The most jobs that one filter names. */
const MOST_PICKED = 1_000;

/** All jobs: search, and actions on those that are picked or on all that match. */
export function Jobs() {
  const { query, route } = useLocation();
  const text = query.q ?? "";
  const listing = useListing(text);
  const queues = useLive(listQueues, { key: "queues", every: 2_000, when: () => true });
  const body = useRef<HTMLTableSectionElement>(null);
  const height = useNarrow() ? HEIGHT_NARROW : HEIGHT;
  // Read here, so that the page is rendered with each change of the list.
  void listing.version.value;
  useTitle("Jobs");
  const { rows } = listing;
  const seen = useWindow(body, height, rows.length);
  useFresh(listing, seen);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [isAll, setAll] = useState(false);
  const [at, setAt] = useState(-1);
  // Keys may come faster than pages are rendered.
  const place = useRef(-1);
  const [meant, setMeant] = useState<{ action: Action; filter: Filter }>();
  useEffect(() => {
    clear();
    place.current = -1;
    setAt(-1);
    scrollTo(0, 0);
  }, [text]);

  const clear = () => {
    setPicked(new Set());
    setAll(false);
  };
  const pick = ({ id }: Row) => {
    setPicked((picked) => {
      const next = new Set(picked);
      if (!next.delete(id)) next.add(id);
      return next;
    });
    setAll(false);
  };
  const move = (step: number) => {
    place.current = Math.min(listing.rows.length - 1, Math.max(0, place.current + step));
    setAt(place.current);
    show(body.current, place.current * height, height);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const row = listing.rows[place.current];
      if (row !== undefined) pick(row);
    },
    Enter: () => {
      const row = listing.rows[place.current];
      if (row !== undefined) route(addressOf(`jobs/${encodeURIComponent(row.id)}`));
    },
    Escape: clear,
  });

  const act = (action: Action) => setMeant({ action, filter: isAll ? { ...(text !== "" && { q: text }) } : { ids: [...picked] } });
  const known = {
    queues: queues.value?.queues.map(({ name }) => name) ?? [],
    kinds: [...new Set([...rows.slice(0, 500).map(({ kind }) => kind), ...valuesOf(text, "kind")])].sort(),
  };
  const first = rows.slice(0, MOST_PICKED);
  const isFirstPicked = first.length > 0 && first.every(({ id }) => picked.has(id));
  return (
    <>
      <h1>Jobs</h1>
      <SearchBox text={text} known={known} onSearch={(q) => route(addressOf("jobs", { q }))} />
      <StateTabs text={text} queues={queues.value?.queues} />
      <Selection picked={picked.size} isAll={isAll} onAll={() => setAll(true)} onClear={clear} onAct={act} />
      <Trouble error={listing.error.value} />
      <table class="jobs" aria-rowcount={listing.hasMore ? -1 : rows.length + 1} aria-label="Jobs">
        <thead>
          <tr aria-rowindex={1}>
            <th scope="col" class="pick">
              <input
                type="checkbox"
                aria-label="Select those that are listed"
                checked={isAll || isFirstPicked}
                onChange={({ currentTarget }) => {
                  setPicked(new Set(currentTarget.checked ? first.map(({ id }) => id) : []));
                  setAll(false);
                }}
              />
            </th>
            <th scope="col">Job</th>
            <th scope="col" class="is">State</th>
            <th scope="col" class="queue">Queue</th>
            <th scope="col" class="tries">Attempt</th>
            <th scope="col" class="took">Took</th>
            <th scope="col" class="when">Enqueued</th>
          </tr>
        </thead>
        <tbody ref={body}>
          <Space rows={seen.from} height={height} />
          {rows.slice(seen.from, seen.to).map((row, index) => (
            <JobRow
              key={row.id}
              row={row}
              index={seen.from + index}
              isPicked={isAll || picked.has(row.id)}
              isAt={seen.from + index === at}
              onPick={pick}
            />
          ))}
          <Space rows={rows.length - seen.to} height={height} />
        </tbody>
      </table>
      {listing.isRead && rows.length === 0 && !listing.hasMore && (
        <Empty title={text === "" ? "No jobs yet" : "No job matches"}>
          {text === "" ? "What is enqueued shows up here at once." : "Words must all fit. A word that begins with - must not."}
        </Empty>
      )}
      <p class="bound">
        {listing.isRead && (
          <>
            {jobsIn(rows.length)} listed
            {listing.searched > rows.length && <>, {count(listing.searched)} searched</>}
            {listing.hasMore ? " so far. " : ". "}
            {listing.hasMore && (
              <button type="button" onClick={() => void listing.more()}>
                {text === "" ? "Load more" : "Search on"}
              </button>
            )}
          </>
        )}
      </p>
      {meant !== undefined && (
        <BulkDialog
          {...meant}
          onClose={() => setMeant(undefined)}
          onDone={() => {
            clear();
            void listing.refresh(seen.from, seen.to);
          }}
        />
      )}
    </>
  );
}

/** Stands for rows that are not seen. */
function Space({ rows, height }: { rows: number; height: number }) {
  return rows > 0 ? <tr aria-hidden="true" class="space" style={{ height: `${rows * height}px` }} /> : null;
}

/** Scrolls as little as is needed to show a row. */
function show(body: HTMLElement | null, top: number, height: number): void {
  const begin = (body?.getBoundingClientRect().top ?? 0) + top;
  const { innerHeight } = window;
  if (begin < 120) scrollBy(0, begin - 120);
  else if (begin + height > innerHeight - 40) scrollBy(0, begin + height - innerHeight + 40);
}
