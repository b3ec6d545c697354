export { LonghaulProvider, useLonghaul } from "./provider.js";
export { type Followed, useEnqueue, useJob, type UseJobOptions, useJobs, type UseJobsOptions, useRun } from "./hooks.js";
export { type Step10Status, useStep10Status } from "./step10.js";
