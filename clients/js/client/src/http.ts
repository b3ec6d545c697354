import { ApiError, ConnectionError, isApiError, type Problem } from "./errors.js";
import { read, stringify, unlikeAll } from "./json.js";

/** How a client reaches its server. */
export interface Settings {
  url: string;
  token: string | undefined;
  timeout: number;
  maxRetries: number;
  fetch: typeof globalThis.fetch;
}

/** A request of the API. */
export interface Call {
  method?: string;
  path: string;
  body?: unknown;
  /** The body, where it is JSON already. */
  text?: string;
  headers?: Record<string, string>;
  /** The longest that the server may hold the answer, in milliseconds, on top of the timeout. */
  heldFor?: number;
  signal?: AbortSignal | undefined;
  /** Called before each try. */
  onTry?: () => void;
  /** Called before a request is sent again. */
  onRetry?: (error: Error) => void;
}

/** The longest pause between two tries, in milliseconds, where the server names none. */
const LONGEST_PAUSE = 8_000;
/** The longest time of a timer, in milliseconds: that of a signed number of 32 bits. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Sends a request until it is answered: again after 408, 429, 5xx and broken connections, at most `maxRetries` times. A POST
 * carries an `Idempotency-Key`, the same each time, so that one which was heard is not done twice.
 */
export async function request(settings: Settings, call: Call): Promise<Response> {
  const method = call.method ?? "GET";
  const headers: Record<string, string> = { accept: "application/json", ...authorization(settings), ...call.headers };
  if (method === "POST") headers["idempotency-key"] ??= unlikeAll();
  for (const [name, value] of Object.entries(headers)) checkHeader(name, value);
  const init: RequestInit = { method, headers, redirect: "manual" };
  const body = call.text ?? stringify(call.body);
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = body;
  }
  for (let tries = 0; ; tries++) {
    let error: Error;
    let told: number | undefined;
    call.onTry?.();
    try {
      const response = await bounded(settings, call, init);
      if (response.ok) return response;
      const problem = await apiError(response);
      if (!mayHelp(response.status) && problem.code !== "idempotency_key_in_use") throw problem;
      error = problem;
      told = problem.retryAfter;
    } catch (failure) {
      if (failure instanceof ApiError || call.signal?.aborted) throw failure;
      error = new ConnectionError(`failed to reach ${settings.url}: ${words(failure)}`, failure);
    }
    if (tries >= settings.maxRetries) throw error;
    call.onRetry?.(error);
    await sleep(pause(tries, told), call.signal);
  }
}

/** A name as a part of a path. `.` and `..` are resolved away in a URL, which would be that of something else. */
export function segment(name: string): string {
  if (name === "." || name === "..") throw new RangeError(`'${name}' is no name of anything over HTTP`);
  return encodeURIComponent(name);
}

/** Refuses what no header can carry: a request with it would fail however often it is sent. */
export function checkHeader(name: string, value: string): void {
  if (!/^[\t\x20-\x7e]*$/.test(value)) throw new RangeError(`the ${name} must be printable ASCII`);
}

/** Removes what is at a path. */
export async function remove(settings: Settings, path: string): Promise<void> {
  let isAgain = false;
  try {
    await request(settings, { method: "DELETE", path, onRetry: () => (isAgain = true) });
  } catch (error) {
    // The first request was heard, and its answer lost.
    if (!isAgain || !(isApiError(error, 404) || isApiError(error, 410))) throw error;
  }
}

/** True where the same request may be answered otherwise later. */
export function mayHelp(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** One try, ended by the timeout or by the caller's signal. */
async function bounded(settings: Settings, call: Call, init: RequestInit): Promise<Response> {
  const aborting = new AbortController();
  const abort = () => aborting.abort(call.signal?.reason);
  if (call.signal?.aborted) abort();
  call.signal?.addEventListener("abort", abort);
  const timer = setTimeout(
    () => aborting.abort(new Error(`no answer within ${settings.timeout} ms`)),
    // A longer time than timers have would be none at all.
    Math.min(settings.timeout + (call.heldFor ?? 0), LONGEST_TIMER),
  );
  try {
    const response = await settings.fetch(settings.url + call.path, { ...init, signal: aborting.signal });
    // The body is part of the answer: a server that stops in the middle of it has not answered.
    const body = response.status === 204 || response.status === 304 ? null : await response.arrayBuffer();
    return new Response(body, { status: response.status, headers: response.headers });
  } finally {
    clearTimeout(timer);
    call.signal?.removeEventListener("abort", abort);
  }
}

/** The header that shows the token. */
export function authorization(settings: Settings): Record<string, string> {
  return settings.token === undefined ? {} : { authorization: `Bearer ${settings.token}` };
}

/** The error of an answer. */
export async function apiError(response: Response): Promise<ApiError> {
  const body: unknown = await read(response).catch(() => ({}));
  const problem = typeof body === "object" && body !== null ? (body as Problem) : {};
  const told = (name: string) => response.headers.get(name) ?? undefined;
  const headers = { requestId: told("x-request-id"), retryAfter: retryAfter(response.headers.get("retry-after")), location: told("location") };
  return ApiError.of(response.status, problem, headers);
}

/** The milliseconds before the next try. Jitter keeps many clients of one server from coming back at once. */
export function pause(tries: number, told: number | undefined): number {
  if (told !== undefined) return told + Math.random() * Math.min(1_000, told / 4);
  return Math.min(LONGEST_PAUSE, 250 * 2 ** tries) * (0.5 + Math.random() / 2);
}

/** The milliseconds of a `Retry-After`, which are a number of seconds or a date. */
export function retryAfter(value: string | null): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

/** Waits, or fails with the signal's reason. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** An error in words, with the cause that fetch hides in it. */
export function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
