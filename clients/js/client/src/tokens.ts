import { remove, request, segment, type Settings } from "./http.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** A token with scopes; what it is was told when it was made. */
export type Token = Schemas["Token"];
/** A token that is to be made: its name, its scopes, and where it has them its rate and its end. */
export type NewToken = Schemas["NewToken"];

/** Tokens that let applications, workers and people do some things and no others. */
export class Tokens {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** All tokens, oldest first. */
  async list(): Promise<Token[]> {
    const response = await request(this.#settings, { path: "/api/tokens" });
    return (await read<Schemas["TokenList"]>(response)).tokens;
  }

  /** Makes a token. The answer has it as `token`, this once. */
  async create(token: NewToken): Promise<Token & { token: string }> {
    return read(await request(this.#settings, { method: "POST", path: "/api/tokens", body: token }));
  }

  /** Revokes a token: no server takes it a second from now. */
  async revoke(id: string): Promise<void> {
    await remove(this.#settings, `/api/tokens/${segment(id)}`);
  }
}
