import { remove, request, segment, type Settings } from "./http.js";
import { read } from "./json.js";
import type { Schemas } from "./openapi.js";

/** A delivery of a job's webhook, which is a job of its own. */
export type Delivery = Schemas["Delivery"];
/** A secret that messages of webhooks are signed with; what it is was told when it was made. */
export type WebhookSecret = Schemas["WebhookSecret"];

/** Sends the message of a delivery again. */
export async function redeliver(settings: Settings, delivery: string): Promise<Delivery> {
  return read(await request(settings, { method: "POST", path: `/api/deliveries/${segment(delivery)}/redeliver` }));
}

/**
 * The secrets that messages of webhooks are signed with: with each that there is, two at most. To change over, create a second one, give
 * it to the receivers, and delete the first.
 */
export class WebhookSecrets {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The secrets by their names, oldest first. */
  async list(): Promise<WebhookSecret[]> {
    const response = await request(this.#settings, { path: "/api/webhook-secrets" });
    return (await read<Schemas["WebhookSecretList"]>(response)).secrets;
  }

  /** Makes a secret. The answer has it as `secret`, this once. Throws `Conflict` with the code `too_many_secrets` where there are two. */
  async create(): Promise<WebhookSecret & { secret: string }> {
    return read(await request(this.#settings, { method: "POST", path: "/api/webhook-secrets" }));
  }

  /** Deletes a secret: nothing is signed with it any more. */
  async delete(id: string): Promise<void> {
    await remove(this.#settings, `/api/webhook-secrets/${segment(id)}`);
  }
}
