import { request, segment, type Settings } from "./http.js";
import { queryOf } from "./jobs.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** A limit key with its limits, and what waits and runs of it. */
export type Key = Schemas["Key"];
/** Which keys: those whose names begin with `prefix`, those of which jobs wait in `queue`. */
export type KeyFilter = { prefix?: string; queue?: string };
/** A page of keys; `next` is the cursor of the following one. */
export type KeyPage = Schemas["KeyList"];

/** Keys of a page, where all are asked for. */
const PAGE = 1_000;

export async function keysOf(settings: Settings, filter: KeyFilter): Promise<Key[]> {
  const keys: Key[] = [];
  let cursor: string | null | undefined;
  do {
    const page: KeyPage = await keysPage(settings, { ...filter, limit: PAGE, ...(cursor && { cursor }) });
    keys.push(...page.keys);
    cursor = page.next;
  } while (cursor);
  return keys;
}

export async function keysPage(settings: Settings, of: KeyFilter & { limit?: number; cursor?: string }): Promise<KeyPage> {
  return read(await request(settings, { path: `/api/keys?${queryOf(of).toString()}` }));
}

export async function askKey(settings: Settings, method: string, key: string, rest = "", body?: unknown): Promise<Key> {
  return read(await request(settings, { method, path: keyPath(key, rest), body }));
}

export async function removeKey(settings: Settings, key: string): Promise<void> {
  await request(settings, { method: "DELETE", path: keyPath(key) });
}

function keyPath(key: string, rest = ""): string {
  return `/api/keys/${segment(key)}${rest}`;
}
