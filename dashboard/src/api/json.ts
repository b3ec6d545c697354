/** A number that JavaScript cannot hold, as it was written. */
export class Exact {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** Reads JSON. Integers beyond 2⁵³ stay as they are written, where the browser can tell. */
export function parse(text: string): unknown {
  return JSON.parse(text, function (_key, value: unknown, context?: { source?: string }) {
    const source = context?.source;
    if (typeof value === "number" && source !== undefined && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)) {
      return new Exact(source);
    }
    return value;
  } as (this: unknown, key: string, value: unknown) => unknown);
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
    return `{\n${members.map(([name, one]) => `${deeper}${JSON.stringify(name)}: ${written(one, deeper)}`).join(",\n")}\n${indent}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** Writes JSON in one line, numbers as they were. */
export function compact(value: unknown): string {
  if (value instanceof Exact) return value.source;
  if (Array.isArray(value)) return `[${value.map(compact).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${compact(one)}`).join(",")}}`;
}
