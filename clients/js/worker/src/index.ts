export { Cancel, type Context, Fatal, RateLimited, Snooze } from "./context.js";
export type { Handler } from "./session.js";
export { Worker, type WorkerOptions } from "./worker.js";
