import { seconds } from "../words";
import { parse } from "./json";

/** The base of the pages: `/admin/` without a proxy. Links and calls start from it, so that a proxy may serve all of it anywhere. */
export const base = new URL(document.baseURI).pathname.replace(/[^/]*$/, "");
export const api = new URL("../api/", new URL(base, location.href));

/** Too many requests or waiting jobs, and a store that is away: the same request may succeed later. */
const REFUSED_FOR_NOW: ReadonlySet<number> = new Set([429, 503]);

/** An answer that is not a success. */
export class Problem extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

export interface Request {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  /** JSON that is sent as it is written. */
  text?: string;
  signal?: AbortSignal | undefined;
}

/** Calls a route of the API, or any address. The dashboard's cookie goes with it. */
export async function call<T>(path: string | URL, { method = "GET", body, text, signal }: Request = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
  if (sent !== undefined) {
    headers["content-type"] = "application/json";
    init.body = sent;
  }
  if (signal !== undefined) init.signal = signal;
  let response: Response;
  let answer: string;
  try {
    response = await fetch(new URL(path, api), init);
    answer = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The server cannot be reached. The page goes on by itself when it is back.");
  }
  if (!response.ok) throw problem(response, answer);
  return (answer === "" ? null : parse(answer)) as T;
}

function problem({ status, headers }: Response, answer: string): Problem {
  let told: { detail?: string; errors?: { field: string; message: string }[] } = {};
  try {
    told = JSON.parse(answer) as typeof told;
  } catch {
    // A proxy's own page says nothing that helps.
  }
  const fields = (told.errors ?? []).map(({ field, message }) => `${field} ${message}`).join("; ");
  const detail = fields || told.detail || `The server answered ${status}.`;
  const pause = REFUSED_FOR_NOW.has(status) ? Number(headers.get("retry-after")) : 0;
  return new Problem(status, pause > 0 ? `${detail}; try again in ${seconds(pause)}` : detail);
}
