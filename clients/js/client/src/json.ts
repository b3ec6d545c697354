// JSON whose integers keep their digits. A number holds integers up to 2^53 without rounding them; ids of other systems are larger.

/**
 * Reads JSON. An integer beyond `Number.MAX_SAFE_INTEGER` is a bigint, and everything else what `JSON.parse` makes of it. Not every
 * runtime tells a reviver how a number was written, so that such integers are marked before they are read.
 */
export function parse(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const mark = unlikeAll();
  const marked = marking(text, mark);
  if (marked === text) return JSON.parse(text);
  return JSON.parse(marked, (_, value: unknown) => (typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value));
}

/** Writes JSON. A bigint is an integer with all its digits. */
export function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  // It holds a bigint, or cannot be written at all, and then throws again.
  const mark = unlikeAll();
  const marked = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? mark + String(one) : one)) as string | undefined;
  return marked?.replace(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1");
}

/** A value as a server gives it back; throws where it has no JSON form. */
export function plain(value: unknown): unknown {
  const text = stringify(value === undefined ? null : value);
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
  return parse(text);
}

/** Units of a rate that a run has taken, whole and not below 0. */
export function units(taken: number): number {
  const isWell = Number.isSafeInteger(taken) && taken >= 0 && taken < 2 ** 32;
  if (!isWell) throw new TypeError(`the units that a run took are a whole number from 0 to ${2 ** 32 - 1}, and not ${String(taken)}`);
  return taken;
}

/** The JSON of an answer. */
export async function read<T>(response: Response): Promise<T> {
  return parse(await response.text()) as T;
}

/** A text that nobody else has written. `randomUUID` is not there on pages that came over plain HTTP. */
export function unlikeAll(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The text, with each integer that a number cannot hold as a string that begins with the mark. */
function marking(text: string, mark: string): string {
  const token = /"|-?\d[\d.eE+-]*/g;
  let marked = "";
  let from = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    const [word] = found;
    if (word === '"') token.lastIndex = endOfString(text, token.lastIndex);
    else if (/^-?[1-9]\d{15,}$/.test(word) && !Number.isSafeInteger(Number(word))) {
      marked += `${text.slice(from, found.index)}"${mark}${word}"`;
      from = token.lastIndex;
    }
  }
  return marked + text.slice(from);
}

/** The place after a string that begins at `at`. Its quotation marks follow an odd number of backslashes. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = end;
    while (text[slashes - 1] === "\\") slashes -= 1;
    if ((end - slashes) % 2 === 0) return end + 1;
  }
  return text.length;
}

/** The text of the value at a path of a job's args, the same for the same value in whatever order its names stand. */
export function keyAt(args: unknown, path: string[]): string {
  const at = (value: unknown, name: string) =>
    value !== null && typeof value === "object" && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : null;
  return sorted(path.length === 0 ? null : path.reduce(at, args));
}

function sorted(value: unknown): string {
  if (value === null || typeof value !== "object") return typeof value === "bigint" ? String(value) : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(sorted).join(",")}]`;
  return `{${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => `${JSON.stringify(name)}:${sorted(one)}`).join(",")}}`;
}
