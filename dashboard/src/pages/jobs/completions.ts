import { STATES } from "../../api/model";
import { qualified, words } from "../../search";

export interface Completion {
  /** Stands in place of the word at the cursor. */
  text: string;
  about: string;
  /** The value goes on: no space after it. */
  isOpen: boolean;
}

/** What queues and kinds there are, for completion. */
export interface Known {
  queues: string[];
  kinds: string[];
}

const QUALIFIERS: [string, string][] = [
  ["state:", STATES.join(", ")],
  ["queue:", "waits in this queue"],
  ["kind:", "of this kind"],
  ["error:", "its last error has this text, or is of this group"],
  ["args.", "a value in its args, as args.user.id:7"],
  ["label.", "a label, as label.tenant:7"],
  ["key:", "shares this limit key"],
  ["parent:", "belongs to this job"],
  ["id:", "the job of this id"],
];

/** Where the word at the cursor begins and ends. */
export function wordAt(text: string, cursor: number): { from: number; to: number } {
  return words(text).find(({ from, to }) => from < cursor && cursor <= to) ?? { from: cursor, to: cursor };
}

/** What the word at the cursor may become. */
export function completions(text: string, cursor: number, known: Known): Completion[] {
  const { from, to } = wordAt(text, cursor);
  const word = text.slice(from, to);
  const minus = word.startsWith("-") ? "-" : "";
  const wanted = word.slice(minus.length).toLowerCase();
  const colon = wanted.indexOf(":");
  if (colon < 0) {
    const fitting = QUALIFIERS.filter(([name]) => name.startsWith(wanted) && name !== wanted);
    return fitting.map(([name, about]) => ({ text: minus + name, about, isOpen: true }));
  }
  const name = wanted.slice(0, colon);
  const begun = wanted.slice(colon + 1).replaceAll('"', "");
  const lists: Record<string, readonly string[]> = { state: STATES, queue: known.queues, kind: known.kinds };
  const values = (lists[name] ?? []).filter((value) => value.toLowerCase().includes(begun) && value.toLowerCase() !== begun);
  return values.slice(0, 12).map((value) => ({ text: minus + qualified(name, value), about: "", isOpen: false }));
}
