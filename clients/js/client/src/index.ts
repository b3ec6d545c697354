export * from "./errors.js";
export { pause, retryAfter, type Settings } from "./http.js";
export * from "./job.js";
export { type EnqueueOptions, JobHandle, Jobs, type Kinds, Longhaul, type LonghaulOptions, type WaitOptions } from "./longhaul.js";
export { eventOf, type Message, Parser } from "./sse.js";
