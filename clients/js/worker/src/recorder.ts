import type { Entry } from "@longhaul/client";
import { stringify } from "@longhaul/client/json";
import type { Run, Said } from "./run.js";

/** The most bytes of one request's entries or ends; a body may have 16 MiB. */
export const BODY_BYTES = 8_000_000;
/** What is said within so many milliseconds is sent together. */
const TOGETHER = 10;
/** The most bytes of entries that go with the end of a run. */
const AT_THE_END = 1_000_000;

/** The entries of a run, as JSON, for one request. */
export interface Entries {
  run: Run;
  texts: string[];
}

/** Sends what runs say, in order. */
export class Recorder {
  readonly #speaking = new Set<Run>();
  readonly #send: (entries: Entries[]) => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isSending = false;

  constructor(send: (entries: Entries[]) => Promise<void>) {
    this.#send = send;
  }

  /** Sends an entry soon, and at once where it is awaited. Resolves once it is durable, or the run is lost. */
  say(run: Run, entry: Entry, isAwaited = false): Promise<void> {
    const text = stringify(entry) ?? "null";
    run.said = new Promise((heard) => run.entries.push({ text, bytes: Buffer.byteLength(text), heard }));
    this.#speaking.add(run);
    if (isAwaited) this.#hurry();
    else this.#timer ??= setTimeout(() => void this.#record(), TOGETHER);
    return run.said;
  }

  /** Waits for what a run has said and is on its way, and hands out the rest, to be sent with its end. */
  async last(run: Run): Promise<Said[]> {
    while (run.sending !== undefined || bytes(run.entries) > AT_THE_END) {
      this.#hurry();
      await (run.sending ?? run.said);
    }
    this.#speaking.delete(run);
    return run.entries.splice(0);
  }

  #hurry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#record(), 0);
  }

  /** One request at a time: two under way could be heard in the wrong order. */
  async #record(): Promise<void> {
    this.#timer = undefined;
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#speaking.size > 0) {
      const taken = this.#take();
      const heard = taken.filter(({ run }) => !run.isLost);
      const texts = heard.map(({ run, said }) => ({ run, texts: said.map(({ text }) => text) }));
      const sending = texts.length > 0 ? this.#send(texts) : Promise.resolve();
      for (const { run } of taken) run.sending = sending;
      await sending;
      for (const { run, said } of taken) {
        run.sending = undefined;
        for (const { heard } of said) heard();
      }
    }
    this.#isSending = false;
  }

  /** As much of what was said as one request may have, and one entry at least. */
  #take(): { run: Run; said: Said[] }[] {
    const taken: { run: Run; said: Said[] }[] = [];
    let room = BODY_BYTES;
    for (const run of this.#speaking) {
      let count = 0;
      for (const { bytes } of run.entries) {
        if (bytes > room && (count > 0 || taken.length > 0)) break;
        room -= bytes;
        count++;
      }
      // What a lost run has said is nobody's any more.
      const said = run.entries.splice(0, run.isLost ? run.entries.length : count);
      if (said.length > 0) taken.push({ run, said });
      if (run.entries.length > 0) break;
      this.#speaking.delete(run);
    }
    return taken;
  }
}

function bytes(said: Said[]): number {
  return said.reduce((sum, { bytes }) => sum + bytes, 0);
}
