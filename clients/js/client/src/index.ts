export * from "./errors.js";
export { JobHandle, type WaitOptions } from "./handle.js";
export { pause, retryAfter, type Settings } from "./http.js";
export * from "./job.js";
export { Jobs } from "./jobs.js";
export { type EnqueueOptions, type Kinds, Longhaul, type LonghaulOptions } from "./longhaul.js";
export type { Schemas } from "./openapi.js";
export { eventOf, type Message, Parser } from "./sse.js";
