/** A number that JavaScript would write otherwise, or cannot hold, as it was written. */
export class Exact {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** Reads JSON. Numbers stay as they are written (`1.0`, integers beyond 2⁵³), where the browser can tell. */
export function exact(text: string): unknown {
  return JSON.parse(text, function (_key, value: unknown, context?: { source?: string }) {
    const source = context?.source;
    return typeof value === "number" && source !== undefined && String(value) !== source ? new Exact(source) : value;
  } as (this: unknown, key: string, value: unknown) => unknown);
}

/** True where the browser cannot tell how a number was written, so that its last digits may not be those of the job. */
export const isRounded = (text: string): boolean => !canTell && /\d{16}/.test(text);
const canTell = exact("1.0") instanceof Exact;

/** The members of an answer that hold what callers and workers wrote. */
const THEIRS: ReadonlySet<string> = new Set(["args", "output", "data"]);

/** Reads an answer of the server: what callers and workers wrote stays as it is, and the server's own numbers are numbers. */
export const parse = (text: string): unknown => counted(exact(text));

function counted(value: unknown): unknown {
  if (value instanceof Exact) return /^-?\d+$/.test(value.source) ? value : Number(value.source);
  if (Array.isArray(value)) return value.map(counted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, THEIRS.has(name) ? one : counted(one)]));
}

/** Writes JSON for people, two spaces a level, numbers as they were. */
export function written(value: unknown, indent = ""): string {
  if (value instanceof Exact) return value.source;
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((one) => deeper + written(one, deeper)).join(",\n")}\n${indent}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value);
    if (members.length === 0) return "{}";
    return `{\n${members.map(([name, one]) => `${deeper}${visible(JSON.stringify(name))}: ${written(one, deeper)}`).join(",\n")}\n${indent}}`;
  }
  return visible(JSON.stringify(value) ?? "null");
}

/** Controls that turn the direction of writing would show the rest of a line the wrong way round. */
const visible = (json: string): string => json.replace(/[\u202a-\u202e\u2066-\u2069]/g, (control) => `\\u${control.charCodeAt(0).toString(16)}`);

/** Writes JSON in one line, numbers as they were. */
export function compact(value: unknown): string {
  if (value instanceof Exact) return value.source;
  if (Array.isArray(value)) return `[${value.map(compact).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${compact(one)}`).join(",")}}`;
}
