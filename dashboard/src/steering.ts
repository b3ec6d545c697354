/** The words of flow control: why a job was cancelled, what a unique key does, what becomes of one job too many. */
import type { CancelReason, OnClash, OnFull, Schedule } from "./api/model";
import { chosen } from "./words";

/** Completes "cancelled: …" and "asked to stop: …". */
export const BECAUSE: Record<CancelReason, string> = {
  asked: "somebody asked for it",
  expired: "it was not started in time",
  deadline: "its deadline has passed",
  superseded: "a newer job took its unique key",
  dependency: "a job that it depends on failed or was cancelled",
  dropped: "too many jobs were waiting",
  parent: "its parent was cancelled",
};

/** The fate of a job that is enqueued while as many wait as may. */
export const ON_FULL: Record<OnFull, string> = {
  reject: "is refused (429 queue_full)",
  drop_oldest: "is enqueued, and the oldest that waits is cancelled",
  drop_newest: "is enqueued and cancelled at once",
};
export const FATES = Object.keys(ON_FULL) as OnFull[];

const ON_CLASH: Record<OnClash, string> = {
  join: "another joins it",
  refresh: "another joins it until it has ended",
  reject: "another is refused",
  replace: "another replaces it while it waits",
  debounce: "those in quick succession are one",
  throttle: "one is made in each period",
  supersede: "another cancels it and takes its place",
  follow: "the newest of the others runs after it",
};

/** A unique key with its mode, its times and its states. */
export function unique({ key, on_clash, period, delay, max_delay, edge, states }: NonNullable<Schedule["job"]["unique"]>): string {
  const times = [
    period == null ? "" : `period ${chosen(period)}`,
    delay == null ? "" : `delay ${chosen(delay)}`,
    max_delay == null ? "" : `at most ${chosen(max_delay)}`,
    edge == null ? "" : `${edge} edge`,
    states == null ? "" : `while ${states.join(", ")}`,
  ].filter((time) => time !== "");
  return `unique by ${key}: ${on_clash}, ${ON_CLASH[on_clash]}${times.length === 0 ? "" : ` (${times.join(", ")})`}`;
}
