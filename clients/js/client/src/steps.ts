import { plain } from "./json.js";

/** The steps that an attempt of a job has come to. */
export class Reached {
  readonly #names = new Set<string>();
  readonly #done: () => Iterable<string>;

  /** `done` tells the steps that are done, those of earlier attempts too. */
  constructor(done: () => Iterable<string>) {
    this.#done = done;
  }

  /** Notes that the attempt has come to a step. */
  reach(name: string): void {
    if (this.#names.has(name)) {
      // It would be given the output of the other.
      const advice = "each step, sleep and wait of a job has a name of its own; put a number into the names of a loop";
      throw Object.assign(new Error(`'${name}' stands twice in this attempt: ${advice}`), { name: "Fatal" });
    }
    this.#names.add(name);
  }

  /** Does the work of a step that the attempt has come to. One that fails may be tried again. */
  async work(name: string, work: () => unknown): Promise<unknown> {
    try {
      return plain(await work());
    } catch (error) {
      this.#names.delete(name);
      throw error;
    }
  }

  /** True while a step is done that this attempt has not come to, signals aside: they come when others send them. */
  get isReplaying(): boolean {
    return [...this.#done()].some((name) => !name.startsWith("signal:") && !this.#names.has(name));
  }
}
