import { request, segment, type Settings } from "./http.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** A queue with its configuration and counts. */
export type Queue = Schemas["Queue"];

/** The queues. */
export class Queues {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** All queues, by name. */
  async list(): Promise<Queue[]> {
    const response = await request(this.#settings, { path: "/api/queues" });
    return (await read<Schemas["QueueList"]>(response)).queues;
  }

  get(queue: string): Promise<Queue> {
    return this.#ask("GET", queue);
  }

  /** Changes what is given of a queue's configuration. */
  set(queue: string, patch: Schemas["QueuePatch"]): Promise<Queue> {
    return this.#ask("PATCH", queue, "", patch);
  }

  /** No job of the queue is given to a worker any more; those that run go on. */
  pause(queue: string): Promise<Queue> {
    return this.#ask("POST", queue, "/pause");
  }

  resume(queue: string): Promise<Queue> {
    return this.#ask("POST", queue, "/resume");
  }

  async #ask(method: string, queue: string, rest = "", body?: unknown): Promise<Queue> {
    const path = `/api/queues/${segment(queue)}${rest}`;
    return read(await request(this.#settings, { method, path, body }));
  }
}
