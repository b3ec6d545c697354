export type { Collected, CollectHandler, CollectOptions } from "./collect.js";
export { Cancel, type Child, type Context, Fatal, RateLimited, Snooze, Waits } from "./context.js";
export type { Handler } from "./session.js";
export { Worker, type WorkerOptions } from "./worker.js";
