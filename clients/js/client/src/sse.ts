import type { JobEvent } from "./job.js";
import { parse } from "./json.js";

/** One message of a stream of server-sent events. */
export interface Message {
  event: string;
  data: string;
  id: string;
}

const TYPES = new Set(["state", "progress", "log", "chunk", "output", "reset", "gap"]);

/** Turns bytes into messages, whatever the network cuts them into. */
export class Parser {
  /** The pause that the server asks for before the next connection, in milliseconds. */
  retry: number | undefined;
  #decoder = new TextDecoder();
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";

  /** The messages that end within `piece`. */
  feed(piece: Uint8Array): Message[] {
    const text = this.#rest + this.#decoder.decode(piece, { stream: true });
    // A carriage return at the end may be half of a line end.
    const held = text.endsWith("\r") ? 1 : 0;
    const lines = text.slice(0, text.length - held).split(/\r\n|\r|\n/);
    this.#rest = (lines.pop() ?? "") + text.slice(text.length - held);
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): Message[] {
    if (line === "") {
      const message = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
      const hasData = this.#data.length > 0;
      this.#event = "";
      this.#data = [];
      return hasData ? [message] : [];
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return [];
  }
}

/** The job's event that a message carries; nothing where it is none that this release knows. */
export function eventOf(message: Message): JobEvent | undefined {
  if (!/^\d+$/.test(message.id) || !TYPES.has(message.event)) return undefined;
  try {
    const data: unknown = parse(message.data);
    if (typeof data !== "object" || data === null) return undefined;
    return { ...data, type: message.event, id: Number(message.id) } as JobEvent;
  } catch {
    return undefined;
  }
}
