// What the server in memory tells over time: the events of a job, the live feed, and the end that a request waits for.
import { isFinished, type Job } from "./job.js";
import { stringify } from "./json.js";
import type { Jobs, Listener } from "./testing-jobs.js";
import { now } from "./testing-rules.js";

/** The log of a job after an event, and what comes. */
export function events(jobs: Jobs, job: Job, request: Request, after: number): Response {
  const log = jobs.logs.get(job.id) ?? [];
  let sent = after;
  if (sent >= log.length && isFinished(job.state)) return new Response(null, { status: 204 });
  return stream(jobs, request, "", (send, close) => {
    const next = () => {
      // A state is told to those who hear the change; who comes later hears the present one.
      const last = log.map(({ event }) => event).lastIndexOf("state");
      for (; sent < log.length; sent++) if (log[sent]?.event !== "state" || sent === last) send(`id: ${sent + 1}\nevent: ${log[sent]?.event}\ndata: ${stringify(log[sent]?.data)}\n\n`);
      if (isFinished(job.state)) close();
    };
    next();
    return (changed) => changed === job && next();
  });
}

/** The changes of all jobs from now on. */
export function feed(jobs: Jobs, request: Request, query: URLSearchParams): Response {
  const [queues, kinds] = [query.getAll("queue"), query.getAll("kind")];
  return stream(jobs, request, ": following\n\n", (send) => (job, event) => {
    const isMeant = (queues.length === 0 || queues.includes(job.queue)) && (kinds.length === 0 || kinds.includes(job.kind));
    if (!isMeant || (event !== "state" && event !== "deleted")) return;
    const { id, kind, queue, attempt } = job;
    send(`event: job\ndata: ${stringify({ id, kind, queue, state: event === "deleted" ? null : job.state, attempt, at: now() })}\n\n`);
  });
}

/** Resolves once the job has ended, or the time that the request may be held is over. */
export function held(jobs: Jobs, job: Job, request: Request): Promise<void> {
  const seconds = Number(/\bwait=(\d+)/.exec(request.headers.get("prefer") ?? "")?.[1] ?? 0);
  if (seconds === 0 || isFinished(job.state)) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => isFinished(job.state) && over();
    const over = () => {
      clearTimeout(timer);
      jobs.listeners.delete(look);
      resolve();
    };
    const timer = setTimeout(over, 1_000 * seconds);
    request.signal.addEventListener("abort", over, { once: true });
    jobs.listeners.add(look);
  });
}

/** A stream of server-sent events that stays open until it is closed, or its reader leaves. */
function stream(
  jobs: Jobs,
  request: Request,
  first: string,
  begin: (send: (text: string) => void, close: () => void) => Listener,
): Response {
  const encoder = new TextEncoder();
  let leave = () => {};
  const body = new ReadableStream<Uint8Array>({
    start: (stream) => {
      let isOpen = true;
      const end = (how: () => void) => () => {
        if (isOpen) how();
        isOpen = false;
        leave();
      };
      const send = (text: string) => stream.enqueue(encoder.encode(text));
      if (first !== "") send(first);
      const listener = begin(send, end(() => stream.close()));
      leave = () => jobs.listeners.delete(listener);
      if (isOpen) jobs.listeners.add(listener);
      request.signal.addEventListener("abort", end(() => stream.error(request.signal.reason)), { once: true });
    },
    cancel: () => leave(),
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}
