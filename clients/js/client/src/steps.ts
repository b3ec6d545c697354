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

  /** Takes that back for a step that has failed and may be tried again. */
  leave(name: string): void {
    this.#names.delete(name);
  }

  /** True while a step is done that this attempt has not come to, signals aside: they come when others send them. */
  get isReplaying(): boolean {
    return [...this.#done()].some((name) => !name.startsWith("signal:") && !this.#names.has(name));
  }
}
