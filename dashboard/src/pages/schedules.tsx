import { useState } from "preact/hooks";
import { ActDialog } from "../acts/act-dialog";
import { curl, longhaul } from "../acts/commands";
import { notify } from "../acts/notices";
import type { Job, Schedule } from "../api/model";
import { deleteSchedule, getJob, listSchedules, pauseSchedule, resumeSchedule, runSchedule } from "../api/routes";
import { useLive } from "../live/read";
import { Empty } from "../parts/empty";
import { Time } from "../parts/time";
import { To, ToJob } from "../parts/to";
import { Trouble } from "../parts/trouble";
import { qualified } from "../search";
import { may } from "../session";
import { BECAUSE, unique } from "../steering";
import { useTitle } from "../title";
import { chosen } from "../words";

type What = "run" | "pause" | "resume" | "delete";

/** All schedules: when they fire, in words; how their last jobs ended; when they fire next; run now, pause, resume, delete. */
export function Schedules() {
  const live = useLive(listSchedules, { key: "schedules", every: 2_000, when: ({ id }) => id.startsWith("schedule:") });
  const [asked, setAsked] = useState<{ what: What; schedule: Schedule }>();
  useTitle("Schedules");
  const schedules = live.value?.schedules;
  return (
    <>
      <h1>Schedules</h1>
      <Trouble error={live.error} />
      {schedules?.length === 0 && (
        <Empty title="No schedules yet">
          One is made by <code>longhaul schedules set</code>, by <code>PUT /api/schedules/NAME</code>, in code or in a file of the server.
        </Empty>
      )}
      {schedules !== undefined && schedules.length > 0 && (
        <div class="wide">
          <table class="queues schedules stacked">
            <thead>
              <tr>
                <th scope="col">Schedule</th>
                <th scope="col">Fires</th>
                <th scope="col">Last outcomes</th>
                <th scope="col">Last</th>
                <th scope="col">Next</th>
                {may("operator") && <th scope="col">Steer</th>}
              </tr>
            </thead>
            <tbody>
              {schedules.map((schedule) => (
                <ScheduleRow key={schedule.name} schedule={schedule} onAsk={(what) => setAsked({ what, schedule })} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asked !== undefined && <StepDialog {...asked} onDone={live.again} onClose={() => setAsked(undefined)} />}
    </>
  );
}

function ScheduleRow({ schedule, onAsk }: { schedule: Schedule; onAsk: (what: What) => void }) {
  const { name, description, job, paused, recent, last_at, last_job, next, origin } = schedule;
  const steer = (what: What, word: string) => (
    <button type="button" onClick={() => onAsk(what)} aria-label={`${word} ${name}`}>
      {word}
    </button>
  );
  return (
    <tr>
      <th scope="row">
        <To page="jobs" query={{ q: qualified("label.schedule", name) }} title={name}>{name}</To> {paused && <span class="badge warm">paused</span>}
        <small>
          {job.kind} in {job.queue}
          {origin === "file" && ", from the server's file"}
        </small>
        {bounds(job).map((words) => (
          <small key={words}>{words}</small>
        ))}
      </th>
      <td data-label="Fires">{description}</td>
      <td data-label="Last outcomes">
        <Outcomes recent={recent} name={name} />
      </td>
      <td data-label="Last">
        {last_job === null ? <Time at={last_at} /> : <ToJob id={last_job} title={last_job}><Time at={last_at} /></ToJob>}
      </td>
      <td data-label="Next">
        {next.length === 0 ? <span class="soft">—</span> : <details>
          <summary><Time at={next[0]} /></summary>
          <ul class="plain">{next.map((at) => <li key={at}>{new Date(at).toLocaleString()}</li>)}</ul>
        </details>}
      </td>
      {may("operator") && (
        <td class="steer">
          {steer("run", "Run now")} {paused ? steer("resume", "Resume") : steer("pause", "Pause")} {may("admin") && steer("delete", "Delete")}
        </td>
      )}
    </tr>
  );
}

/** What its jobs share a key with, and until when they must begin and end. */
function bounds({ unique: key, expires_in, deadline }: Schedule["job"]): string[] {
  return [
    ...(key === null ? [] : [unique(key)]),
    ...(expires_in == null ? [] : [`expires in ${chosen(expires_in)}`]),
    ...(deadline == null ? [] : [typeof deadline === "number" ? `deadline ${chosen(deadline)} after its tick` : `deadline ${new Date(deadline).toLocaleString()}`]),
  ];
}

/** The last ticks, a bar each, by how their jobs ended. */
function Outcomes({ recent, name }: { recent: Schedule["recent"]; name: string }) {
  if (recent.length === 0) return <span class="soft">none yet</span>;
  const words = recent.map(({ state }) => state ?? "gone").join(", ");
  return (
    <svg class="sparkline outcomes" role="img" aria-label={`Last outcomes of ${name}: ${words}`} viewBox={`0 0 ${recent.length * 8} 20`}>
      {recent.map(({ at, state }, place) => (
        <rect key={at} x={place * 8} y={state === "completed" ? 6 : 2} width="6" height={state === "completed" ? 14 : 18} class={state ?? "none"} />
      ))}
    </svg>
  );
}

/** A full queue may have cancelled the job at once, which the answer that accepts it does not tell. */
async function runNow(name: string): Promise<Job> {
  const job = await runSchedule(name);
  const { cancel_reason } = await getJob(job.id).catch(() => job);
  return { ...job, cancel_reason };
}

/** Says so where a run by hand was merged into another job, or found no room. */
function without({ id, duplicate, replaced, cancel_reason }: Job): string {
  if (duplicate) return `Nothing was enqueued: job ${id} holds its unique key.`;
  if (replaced) return `Job ${id}, which holds its unique key, has taken on its args and time.`;
  return cancel_reason === null ? "" : `Job ${id} was enqueued and cancelled at once: ${BECAUSE[cancel_reason]}.`;
}

const ACTS: Record<What, { verb: string; act: (name: string) => Promise<unknown>; title: string; about: string; done: string }> = {
  run: { verb: "Run now", act: runNow, title: "Run NAME now?", about: "Its job is enqueued once, beside its ticks, which come as before.", done: "The job of NAME is enqueued." },
  pause: { verb: "Pause", act: pauseSchedule, title: "Pause the schedule NAME?", about: "Ticks are left out on every server until it is resumed, and are not made up for. Jobs that were enqueued go on.", done: "The schedule NAME is paused." },
  resume: { verb: "Resume", act: resumeSchedule, title: "Resume the schedule NAME?", about: "Ticks are fired again from now on.", done: "The schedule NAME is resumed." },
  delete: { verb: "Delete", act: deleteSchedule, title: "Delete the schedule NAME?", about: "It fires no more. Jobs that it has enqueued stay.", done: "The schedule NAME is deleted." },
};

function StepDialog({ what, schedule: { name }, onDone, onClose }: { what: What; schedule: Schedule; onDone: () => void; onClose: () => void }) {
  const { verb, act, title, about, done } = ACTS[what];
  const path = `schedules/${encodeURIComponent(name)}`;
  const request = what === "delete" ? curl("DELETE", path) : curl("POST", `${path}/${what}`);
  return (
    <ActDialog
      title={title.replace("NAME", name)}
      verb={verb}
      isFinal={what === "delete"}
      commands={{ longhaul: longhaul("schedules", what, name), curl: request }}
      onDo={() =>
        act(name).then((answer) => {
          notify((what === "run" && without(answer as Job)) || done.replace("NAME", name));
          onDone();
        })
      }
      onClose={onClose}
    >
      <p>{about}</p>
    </ActDialog>
  );
}
