/** Times, spans and numbers in words. */

const DIVISIONS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Infinity, "year"],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const whole = new Intl.NumberFormat("en");

/** `3 min ago`, `in 2 hr.` */
export function ago(at: string, now = Date.now()): string {
  let span = (Date.parse(at) - now) / 1000;
  for (const [size, unit] of DIVISIONS) {
    if (Math.abs(span) < size) return relative.format(Math.round(span), unit);
    span /= size;
  }
  return at;
}

/** `85 ms`, `4.2 s`, `3 min 5 s` */
export function span(from: string, to: string): string {
  const ms = Math.max(0, Date.parse(to) - Date.parse(from));
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** A span in seconds: `14 days`, `3 h`. */
export function seconds(count: number): string {
  if (count >= 86_400 && count % 86_400 === 0) return `${count / 86_400} days`;
  if (count >= 3_600 && count % 3_600 === 0) return `${count / 3_600} h`;
  return `${count} s`;
}

export const count = (value: number): string => whole.format(value);

/** `1 job`, `2 jobs` */
export const jobs = (value: number): string => `${count(value)} ${value === 1 ? "job" : "jobs"}`;

/** A word of a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
