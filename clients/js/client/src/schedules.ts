import { JobHandle } from "./handle.js";
import { remove, request, segment, type Settings } from "./http.js";
import type { Job } from "./job.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** A schedule with its last and next ticks. */
export type Schedule = Schemas["Schedule"];
/** A schedule to be kept: `cron` or `every`, and the `job` of each tick. */
export type NewSchedule = Schemas["NewSchedule"];

/** The schedules: jobs that are enqueued again and again. */
export class Schedules {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** All schedules, by name. */
  async list(): Promise<Schedule[]> {
    const response = await request(this.#settings, { path: "/api/schedules" });
    return (await read<Schemas["ScheduleList"]>(response)).schedules;
  }

  get(name: string): Promise<Schedule> {
    return this.#ask("GET", name);
  }

  /** Keeps a schedule, in the place of the one that has its name. One that is paused stays paused, unless `paused` is given. */
  set(name: string, schedule: NewSchedule): Promise<Schedule> {
    return this.#ask("PUT", name, "", schedule);
  }

  /** Leaves ticks out, on every server, until the schedule is resumed. */
  pause(name: string): Promise<Schedule> {
    return this.#ask("POST", name, "/pause");
  }

  resume(name: string): Promise<Schedule> {
    return this.#ask("POST", name, "/resume");
  }

  /** Enqueues the schedule's job now, beside its ticks. */
  async run<Output = unknown>(name: string): Promise<JobHandle<Output>> {
    const job = await this.#ask<Job<Output>>("POST", name, "/run");
    return new JobHandle(this.#settings, job.id, { last: job });
  }

  /** Deletes a schedule; jobs that it has enqueued stay. */
  async delete(name: string): Promise<void> {
    await remove(this.#settings, path(name));
  }

  async #ask<T = Schedule>(method: string, name: string, rest = "", body?: unknown): Promise<T> {
    return read(await request(this.#settings, { method, path: path(name) + rest, body }));
  }
}

const path = (name: string) => `/api/schedules/${segment(name)}`;
