export { LonghaulProvider, useLonghaul } from "./provider.js";
export { type Followed, useEnqueue, useJob, type UseJobOptions, useJobs, useRun } from "./hooks.js";
export { type Step10Status, useStep10Status } from "./step10.js";
