import { api } from "../api/call";
import { hasSignedIn } from "../session";
import { quoted } from "../words";

/** The same action in a terminal: over HTTP, and beside the store. */
export interface Commands {
  curl: string;
  /** Where the command line has it. */
  longhaul?: string;
}

/** A request as a line of curl. */
export function curl(method: string, path: string, body?: unknown): string {
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  if (hasSignedIn.value) parts.push("-H", '"Authorization: Bearer $LONGHAUL_TOKEN"');
  if (body !== undefined) parts.push("--json", quoted(typeof body === "string" ? body : JSON.stringify(body)));
  parts.push(quoted(new URL(path, api).href));
  return parts.join(" ");
}

/** A line of the command line, its words quoted where they must be. */
export const longhaul = (...words: string[]): string => ["longhaul", ...words.map(quoted)].join(" ");
