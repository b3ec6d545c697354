/** Times, spans and numbers in words. */

const DIVISIONS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Infinity, "year"],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const whole = new Intl.NumberFormat("en");
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });

/** `3 min. ago`, `in 2 hr.` */
export function ago(at: string, now: number): string {
  let span = (Date.parse(at) - now) / 1000;
  if (Math.abs(span) < 1.5) return "now";
  for (const [size, unit] of DIVISIONS) {
    if (Math.abs(span) < size) return relative.format(Math.round(span), unit);
    span /= size;
  }
  return at;
}

/** `14:03:07`, with the day where it is another one. */
export function time(at: string, now: number): string {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** `85 ms`, `4.2 s`, `3 min 5 s` */
export function milliseconds(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return two(Math.floor(ms / 60_000), "min", Math.floor((ms % 60_000) / 1_000), "s");
  if (ms < 86_400_000) return two(Math.floor(ms / 3_600_000), "h", Math.floor((ms % 3_600_000) / 60_000), "min");
  return two(Math.floor(ms / 86_400_000), "d", Math.floor((ms % 86_400_000) / 3_600_000), "h");
}

const two = (much: number, unit: string, rest: number, lesser: string) => `${much} ${unit}${rest === 0 ? "" : ` ${rest} ${lesser}`}`;

/** True for the end of a pause that lasts until somebody ends it: the last moment that a server can write. */
export const isForEver = (at: string): boolean => at.startsWith("9999-");

export const between = (from: string, to: string | number): string =>
  milliseconds(Math.max(0, (typeof to === "number" ? to : Date.parse(to)) - Date.parse(from)));

/** A span in seconds; a dash where there is none. */
export const seconds = (value: number | null | undefined): string => (value == null ? "—" : milliseconds(value * 1_000));

/** A span that somebody chose, in the largest unit that fits: `14 days`, `3 hours`. */
export function chosen(value: number): string {
  for (const [size, unit] of [[86_400, "day"], [3_600, "hour"], [60, "minute"]] as const) {
    if (value >= size && value % size === 0) return `${value / size} ${unit}${value === size ? "" : "s"}`;
  }
  return `${value} s`;
}

export const count = (value: number): string => whole.format(value);
/** `12.3K`, where there is little room. */
export const roughly = (value: number): string => (value < 10_000 ? whole.format(value) : brief.format(value));

/** `1 job`, `2 jobs` */
export const jobs = (value: number): string => `${count(value)} ${value === 1 ? "job" : "jobs"}`;

/** `once`, `2 times` */
export const times = (value: number): string => (value === 1 ? "once" : `${count(value)} times`);

/** The end of a long id: that is where ids differ. */
export const tail = (id: string): string => (id.length > 13 && /^[0-9a-f-]{36}$/.test(id) ? `…${id.slice(-8)}` : id);

/** A word of a shell. */
export const quoted = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
