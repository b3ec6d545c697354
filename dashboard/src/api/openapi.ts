// Written by types.mjs; not to be edited.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @enum {string} */
        Action: "cancel" | "retry" | "delete";
        ActionResult: {
            complete: boolean;
            /**
             * Format: int64
             * @deprecated
             */
            count: number;
            /** Format: int64 */
            done: number;
            /** Format: int64 */
            matched: number;
            /** @deprecated */
            more: boolean;
        };
        AttemptError: {
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            attempt: number;
            kind: components["schemas"]["ErrorKind"];
            message: string;
        };
        Backoff: {
            base: components["schemas"]["Seconds"];
            /** Format: double */
            factor: number;
            /** Format: double */
            jitter: number;
            max: components["schemas"]["Seconds"];
        };
        BatchedJob: {
            duplicate: boolean;
            id: string;
        };
        BulkAction: {
            action: components["schemas"]["Action"];
            dry_run?: boolean;
            filter: components["schemas"]["JobFilter"];
            limit?: number | null;
        };
        BullCounts: {
            /** Format: int64 */
            active: number;
            /** Format: int64 */
            completed: number;
            /** Format: int64 */
            delayed: number;
            /** Format: int64 */
            failed: number;
            /** Format: int64 */
            paused: number;
            /** Format: int64 */
            waiting: number;
        };
        Children: {
            /** Format: int64 */
            cancelled: number;
            /** Format: int64 */
            completed: number;
            /** Format: int64 */
            failed: number;
            /** Format: int64 */
            total: number;
        };
        ClaimedJob: {
            args: unknown;
            /** Format: int32 */
            attempt: number;
            backoff: components["schemas"]["Backoff"] | null;
            /** Format: date-time */
            created_at: string;
            kind: string;
            labels: {
                [key: string]: string;
            };
            lease: components["schemas"]["Lease"];
            /** Format: int32 */
            max_attempts: number;
            policy?: unknown;
            queue: string;
            retry_in: components["schemas"]["Seconds"] | null;
            steps: {
                [key: string]: unknown;
            };
            timeout: components["schemas"]["Seconds"] | null;
            /** Format: int32 */
            version: number;
        };
        Entry: {
            progress: components["schemas"]["ProgressEntry"];
        } | {
            log: {
                level: components["schemas"]["LogLevel"];
                message: string;
            };
        } | {
            chunk: {
                data: unknown;
            };
        } | {
            step: {
                name: string;
                output: unknown;
            };
        };
        /** @enum {string} */
        ErrorKind: "error" | "fatal" | "timeout" | "panic" | "crash" | "cancelled";
        Event: components["schemas"]["EventBody"] & {
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            attempt: number;
        };
        EventBody: {
            children?: components["schemas"]["Children"] | null;
            error: components["schemas"]["AttemptError"] | null;
            state: components["schemas"]["State"];
        } | {
            data: unknown;
            message: string;
            /** Format: double */
            percent: number;
        } | {
            level: components["schemas"]["LogLevel"];
            message: string;
        } | {
            data: unknown;
        } | {
            output: unknown;
        } | Record<string, never>;
        Failure: {
            kind?: components["schemas"]["ErrorKind"];
            message: string;
        };
        FieldError: {
            /** @example max_attempts */
            field: string;
            /** @example must be from 1 to 1000 */
            message: string;
        };
        FollowUp: {
            after_children?: boolean;
            args: unknown;
            backoff?: components["schemas"]["Backoff"] | null;
            delay?: components["schemas"]["Seconds"] | null;
            id?: string | null;
            idempotency?: components["schemas"]["Idempotency"] | null;
            kind: string;
            labels?: {
                [key: string]: string;
            };
            limit_key?: string | null;
            /** Format: int32 */
            max_attempts?: number;
            /** Format: int32 */
            max_crashes?: number;
            parent?: string | null;
            policy?: unknown;
            /** Format: int32 */
            priority?: number;
            queue?: string;
            /** Format: date-time */
            run_at?: string | null;
            timeout?: components["schemas"]["Seconds"] | null;
            unique?: components["schemas"]["UniqueKey"] | null;
            /** Format: int32 */
            version?: number;
        };
        Idempotency: {
            fingerprint: string;
            keep_for: components["schemas"]["Seconds"];
            key: string;
        };
        Job: {
            args: unknown;
            /** Format: int64 */
            args_bytes?: number | null;
            args_cut?: boolean;
            /** Format: int32 */
            attempt: number;
            cancel_requested: boolean;
            children: components["schemas"]["Children"] | null;
            /** Format: int32 */
            crashes: number;
            /** Format: date-time */
            created_at: string;
            duplicate?: boolean;
            errors: components["schemas"]["AttemptError"][];
            /** Format: int64 */
            eta_seconds: number | null;
            /** Format: date-time */
            finished_at: string | null;
            id: string;
            /** Format: int32 */
            interruptions: number;
            key: string | null;
            kind: string;
            labels: {
                [key: string]: string;
            };
            /** Format: int32 */
            max_attempts: number;
            output: unknown;
            /** Format: int64 */
            output_bytes?: number | null;
            output_cut?: boolean;
            parent: string | null;
            /** Format: int64 */
            position: number | null;
            /** Format: int32 */
            priority: number;
            progress: components["schemas"]["Progress"] | null;
            queue: string;
            /** Format: date-time */
            run_at: string;
            /** Format: date-time */
            started_at: string | null;
            state: components["schemas"]["State"];
            /** Format: double */
            timeout: number | null;
            /** Format: int32 */
            version: number;
            worker: string | null;
        };
        JobFilter: {
            ids?: string | string[];
            kind?: string | string[];
            /** @default {} */
            labels?: {
                [key: string]: string;
            };
            parent?: string | string[];
            /** @default null */
            q?: string | null;
            queue?: string | string[];
            state?: ("blocked" | "scheduled" | "available" | "running" | "completed" | "failed" | "cancelled") | ("blocked" | "scheduled" | "available" | "running" | "completed" | "failed" | "cancelled")[];
        };
        JobPage: {
            jobs: components["schemas"]["Job"][];
            next: string | null;
        };
        Keep: {
            /** Format: double */
            age: number | null;
            /** Format: int64 */
            count: number | null;
        };
        KeepPatch: {
            /** Format: double */
            age?: number | null;
            /** Format: int64 */
            count?: number | null;
        };
        Lease: {
            id: string;
            /** Format: int64 */
            token: number;
        };
        /** @enum {string} */
        LeaseStatus: "held" | "cancel_requested" | "lost";
        LeaseStatuses: {
            statuses: components["schemas"]["LeaseStatus"][];
        };
        /** @enum {string} */
        LogLevel: "debug" | "info" | "warn" | "error";
        Me: {
            name?: string | null;
            role: components["schemas"]["Role"];
        };
        NewJob: {
            args: unknown;
            cancel_on_disconnect?: boolean | null;
            /** Format: double */
            delay?: number | null;
            id?: string | null;
            key?: string | null;
            /** @example welcome */
            kind: string;
            labels?: {
                [key: string]: string;
            } | null;
            /** Format: int32 */
            max_attempts?: number | null;
            parent?: string | null;
            /** Format: int32 */
            priority?: number | null;
            queue?: string | null;
            /** Format: date-time */
            run_at?: string | null;
            /** Format: double */
            timeout?: number | null;
            unique?: components["schemas"]["Unique"] | null;
        };
        Nothing: Record<string, never>;
        /** @enum {string} */
        OnClash: "join" | "refresh" | "reject" | "replace" | "debounce" | "throttle";
        Outcome: {
            completed: {
                output?: unknown;
            };
        } | {
            retry: {
                delay: components["schemas"]["Seconds"];
                error: components["schemas"]["Failure"];
            };
        } | {
            failed: {
                error: components["schemas"]["Failure"];
            };
        } | {
            cancelled: {
                reason: string;
            };
        } | {
            snoozed: {
                delay: components["schemas"]["Seconds"];
            };
        } | {
            rate_limited: {
                delay: components["schemas"]["Seconds"];
            };
        } | {
            released: Record<string, never>;
        };
        Problem: {
            /** @example invalid */
            code: string;
            detail: string;
            errors?: components["schemas"]["FieldError"][];
            needs?: components["schemas"]["Role"] | null;
            request_id: string;
            /**
             * Format: int32
             * @example 422
             */
            status: number;
            /** @example Unprocessable Entity */
            title: string;
            /** @example about:blank */
            type: string;
        };
        Progress: {
            data: unknown;
            message: string;
            /** Format: double */
            percent: number;
        };
        ProgressEntry: {
            data?: unknown;
            message: string;
            /** Format: double */
            percent: number;
        };
        Queue: {
            config: components["schemas"]["QueueConfig"];
            counts: components["schemas"]["BullCounts"];
            /** @example default */
            name: string;
            states: components["schemas"]["StateCounts"];
        };
        QueueConfig: {
            retention: components["schemas"]["Retention"];
        };
        QueueList: {
            queues: components["schemas"]["Queue"][];
        };
        QueuePatch: {
            retention?: components["schemas"]["RetentionPatch"];
        };
        QueueSlots: {
            queue: string;
            slots: number;
        };
        ReadToken: {
            /** Format: date-time */
            expires_at: string;
            token: string;
        };
        ReadTokenRequest: {
            /** Format: double */
            expires_in?: number | null;
        };
        Retention: {
            cancelled: components["schemas"]["Keep"];
            completed: components["schemas"]["Keep"];
            failed: components["schemas"]["Keep"];
        };
        RetentionPatch: {
            cancelled?: components["schemas"]["KeepPatch"];
            completed?: components["schemas"]["KeepPatch"];
            failed?: components["schemas"]["KeepPatch"];
        };
        /** @enum {string} */
        Role: "viewer" | "operator" | "admin";
        /** Format: double */
        Seconds: number;
        /** @enum {string} */
        State: "blocked" | "scheduled" | "available" | "running" | "completed" | "failed" | "cancelled";
        StateCounts: {
            /** Format: int64 */
            available: number;
            /** Format: int64 */
            blocked: number;
            /** Format: int64 */
            cancelled: number;
            /** Format: int64 */
            completed: number;
            /** Format: int64 */
            failed: number;
            /** Format: int64 */
            running: number;
            /** Format: int64 */
            scheduled: number;
        };
        StoreAct: {
            action: unknown;
            filter: unknown;
            limit: number;
        };
        StoreActed: {
            acted?: unknown;
            /** Format: int64 */
            count: number;
        };
        StoreEvents: {
            /** Format: int64 */
            after: number;
            id: string;
            limit: number;
            wait: components["schemas"]["Seconds"];
        };
        StoreEventsRead: {
            events: unknown[] | null;
            wait_left: components["schemas"]["Seconds"];
        };
        StoreGet: {
            ids: string[];
        };
        StoreGot: {
            jobs: unknown[];
        };
        StoreList: {
            filter: unknown;
            page: unknown;
        };
        StoreQueues: {
            queues: unknown[];
        };
        StoreSetQueue: {
            config: unknown;
            queue: string;
        };
        StoreSweep: {
            limit: number;
        };
        StoreWorkers: {
            workers: unknown[];
        };
        SupportedKind: {
            /** @example paint */
            kind: string;
            /** Format: int32 */
            version?: number;
        };
        Unique: {
            fields?: string[] | null;
            key?: string | null;
            on_clash?: components["schemas"]["OnClash"];
            /** Format: double */
            period?: number | null;
        };
        UniqueKey: {
            key: string;
            on_clash?: string | null;
            period?: components["schemas"]["Seconds"] | null;
        };
        Worker: {
            host: string;
            id: string;
            process: string;
            queues: components["schemas"]["QueueSlots"][];
            /** Format: date-time */
            seen_at: string;
        };
        WorkerAbandon: {
            key: string;
        };
        WorkerAbandoned: {
            given_back: number;
        };
        WorkerClaim: {
            kinds: components["schemas"]["SupportedKind"][];
            lease_for?: components["schemas"]["Seconds"] | null;
            queues: components["schemas"]["QueueSlots"][];
            wait?: components["schemas"]["Seconds"] | null;
            worker: components["schemas"]["WorkerName"];
        };
        WorkerClaimed: {
            claimed: components["schemas"]["ClaimedJob"][];
            wait_left: components["schemas"]["Seconds"];
        };
        WorkerEnqueue: {
            jobs: components["schemas"]["FollowUp"][];
        };
        WorkerEnqueued: {
            enqueued: unknown[];
        };
        WorkerFinish: {
            entries?: components["schemas"]["Entry"][];
            follow_ups?: components["schemas"]["FollowUp"][];
            lease: components["schemas"]["Lease"];
            outcome: components["schemas"]["Outcome"];
        };
        WorkerFinishes: {
            finishes: components["schemas"]["WorkerFinish"][];
        };
        WorkerHeartbeat: {
            lease_for?: components["schemas"]["Seconds"] | null;
            leases: components["schemas"]["Lease"][];
            worker: components["schemas"]["WorkerName"];
        };
        WorkerList: {
            workers: components["schemas"]["Worker"][];
        };
        WorkerName: {
            host?: string;
            /** @example painter-7f3a */
            id: string;
            process?: string;
            queues?: components["schemas"]["QueueSlots"][];
        };
        WorkerRecord: {
            entries: components["schemas"]["Entry"][];
            lease: components["schemas"]["Lease"];
        };
        WorkerRecords: {
            records: components["schemas"]["WorkerRecord"][];
        };
        WorkerTurn: {
            claim: components["schemas"]["WorkerClaim"];
            finishes: components["schemas"]["WorkerFinish"][];
        };
        WorkerTurned: {
            claimed: components["schemas"]["ClaimedJob"][];
            statuses: components["schemas"]["LeaseStatus"][];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
