export { Cancel, type Context, Fatal, RateLimited, Snooze } from "./context.js";
export { type Handler, Worker, type WorkerOptions } from "./worker.js";
