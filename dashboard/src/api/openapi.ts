// Written by types.mjs; not to be edited.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @enum {string} */
        Action: "cancel" | "retry" | "delete" | "set_priority";
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
        AuditEntry: {
            /** @example queue.pause */
            action: string;
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            count: number | null;
            id: string;
            object: string;
            outcome: components["schemas"]["AuditOutcome"];
            /** @example forbidden */
            reason: string | null;
            request_id: string;
            role: string | null;
            token: string | null;
            who: string;
        };
        /** @enum {string} */
        AuditOutcome: "done" | "refused";
        AuditPage: {
            entries: components["schemas"]["AuditEntry"][];
            next: string | null;
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
            cancel_reason?: components["schemas"]["CancelReason"] | null;
            duplicate: boolean;
            id: string;
            /** @example queue_full */
            refused?: string | null;
            replaced?: boolean;
        };
        BulkAction: {
            action: components["schemas"]["Action"];
            dry_run?: boolean;
            filter: components["schemas"]["JobFilter"];
            limit?: number | null;
            /** Format: int32 */
            priority?: number | null;
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
        /** @enum {string} */
        CancelReason: "asked" | "expired" | "deadline" | "superseded" | "dependency" | "dropped" | "parent";
        /** @enum {string} */
        CatchUp: "none" | "once" | "all";
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
        ChunkEvent: components["schemas"]["EventPlace"] & {
            data: unknown;
        };
        ClaimedJob: {
            args: unknown;
            /** Format: int32 */
            attempt: number;
            backoff: components["schemas"]["Backoff"] | null;
            /** Format: date-time */
            created_at: string;
            deadline_in?: components["schemas"]["Seconds"] | null;
            kind: string;
            labels: {
                [key: string]: string;
            };
            lease: components["schemas"]["Lease"];
            /** Format: int32 */
            max_attempts: number;
            on_exhausted?: components["schemas"]["OnExhausted"];
            policy?: unknown;
            queue: string;
            retry_in: components["schemas"]["Seconds"] | null;
            steps: {
                [key: string]: unknown;
            };
            timeout: components["schemas"]["Seconds"] | null;
            traceparent?: string | null;
            /** Format: int32 */
            version: number;
        };
        Cost: {
            /**
             * Format: int32
             * @default 1
             */
            rate?: number;
            /**
             * Format: int32
             * @default 1
             */
            slots?: number;
        };
        CostRequest: {
            /** Format: int32 */
            rate?: number | null;
            /** Format: int32 */
            slots?: number | null;
        };
        DeadlineBody: number | string;
        Delivery: {
            /** Format: date-time */
            at: string | null;
            /** Format: int32 */
            attempt: number;
            error?: string | null;
            event: components["schemas"]["WebhookEvent"] | null;
            events: components["schemas"]["WebhookEvent"][];
            failures: components["schemas"]["DeliveryFailure"][];
            id: string;
            /** Format: int32 */
            max_attempts: number;
            message_id: string | null;
            /** Format: date-time */
            next_at: string | null;
            skipped?: string | null;
            state: components["schemas"]["State"];
            /** Format: int32 */
            status: number | null;
            url: string;
        };
        DeliveryFailure: {
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            attempt: number;
            error: string;
            /** Format: int32 */
            status: number | null;
        };
        Dependency: {
            id: string;
            on_failure?: components["schemas"]["OnFailure"];
        };
        DependencyRequest: string | components["schemas"]["Dependency"];
        DoneStep: {
            name: string;
            output: unknown;
        };
        /** @enum {string} */
        Edge: "trailing" | "leading";
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
                /** Format: double */
                took?: number;
            };
        };
        ErrorGroup: {
            /** Format: int64 */
            count: number;
            /** @example 3f1c22ab90de4471 */
            fingerprint: string;
            /** Format: date-time */
            first_at: string;
            job: string;
            kind: string;
            /** Format: date-time */
            last_at: string;
            message: string;
            spark: number[];
        };
        /** @enum {string} */
        ErrorKind: "error" | "fatal" | "timeout" | "panic" | "crash" | "cancelled";
        Errors: {
            groups: components["schemas"]["ErrorGroup"][];
            /** Format: double */
            step: number;
            /** Format: double */
            window: number;
        };
        EventMessage: {
            data: components["schemas"]["StateEvent"];
            /** @enum {string} */
            event: "state";
            id: number;
        } | {
            data: components["schemas"]["ProgressEvent"];
            /** @enum {string} */
            event: "progress";
            id: number;
        } | {
            data: components["schemas"]["LogEvent"];
            /** @enum {string} */
            event: "log";
            id: number;
        } | {
            data: components["schemas"]["ChunkEvent"];
            /** @enum {string} */
            event: "chunk";
            id: number;
        } | {
            data: components["schemas"]["OutputEvent"];
            /** @enum {string} */
            event: "output";
            id: number;
        } | {
            data: components["schemas"]["EventPlace"];
            /** @enum {string} */
            event: "reset";
            id: number;
        } | {
            data: components["schemas"]["EventPlace"];
            /** @enum {string} */
            event: "gap";
            id: number;
        };
        EventPlace: {
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            attempt: number;
        };
        Failure: {
            kind?: components["schemas"]["ErrorKind"];
            message: string;
            traceparent?: string | null;
        };
        FeedEvent: {
            data: string;
            /** @enum {string} */
            event: "job";
        } | {
            data: string;
            /** @enum {string} */
            event: "gap";
        };
        FeedItem: {
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            attempt: number;
            id: string;
            kind: string;
            queue: string;
            state: components["schemas"]["State"] | null;
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
            deadline?: components["schemas"]["DeadlineBody"] | null;
            delay?: components["schemas"]["Seconds"] | null;
            depends_on?: components["schemas"]["DependencyRequest"][];
            expires_in?: components["schemas"]["Seconds"] | null;
            forked_from?: string | null;
            id?: string | null;
            idempotency?: components["schemas"]["Idempotency"] | null;
            kind: string;
            labels?: {
                [key: string]: string;
            };
            limit_keys?: string[];
            /** Format: int32 */
            max_attempts?: number;
            /** Format: int32 */
            max_crashes?: number;
            parent?: string | null;
            policy?: unknown;
            prefer?: {
                [key: string]: string;
            } | null;
            prefer_hard?: boolean | null;
            /** Format: int32 */
            priority?: number;
            queue?: string;
            /** Format: date-time */
            run_at?: string | null;
            steps?: components["schemas"]["DoneStep"][];
            timeout?: components["schemas"]["Seconds"] | null;
            unique?: components["schemas"]["UniqueKey"] | null;
            /** Format: int32 */
            version?: number;
            webhook?: components["schemas"]["Webhook"] | null;
        };
        Graph: {
            complete: boolean;
            edges: components["schemas"]["GraphEdge"][];
            nodes: components["schemas"]["GraphNode"][];
        };
        GraphEdge: {
            from: string;
            on_failure: components["schemas"]["OnFailure"];
            to: string;
        };
        GraphNode: {
            id: string;
            kind: string;
            state: components["schemas"]["State"];
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
            cancel_reason: components["schemas"]["CancelReason"] | null;
            cancel_requested: boolean;
            children: components["schemas"]["Children"] | null;
            cost: components["schemas"]["Cost"];
            /** Format: int32 */
            crashes: number;
            /** Format: date-time */
            created_at: string;
            created_by?: string | null;
            /** Format: date-time */
            deadline: string | null;
            depends_on: components["schemas"]["Dependency"][];
            duplicate?: boolean;
            errors: components["schemas"]["AttemptError"][];
            /** Format: int64 */
            eta_seconds: number | null;
            /** Format: date-time */
            expires_at: string | null;
            /** Format: date-time */
            finished_at: string | null;
            forked_from: string | null;
            id: string;
            /** Format: int32 */
            interruptions: number;
            key: string | null;
            kind: string;
            labels: {
                [key: string]: string;
            };
            limit_keys: string[];
            /** Format: int32 */
            max_attempts: number;
            on_exhausted: components["schemas"]["OnExhausted"];
            output: unknown;
            /** Format: int64 */
            output_bytes?: number | null;
            output_cut?: boolean;
            parent: string | null;
            /** Format: int64 */
            position: number | null;
            prefer: {
                [key: string]: string;
            } | null;
            prefer_hard: boolean;
            /** Format: int32 */
            priority: number;
            progress: components["schemas"]["Progress"] | null;
            queue: string;
            replaced?: boolean;
            /** Format: date-time */
            run_at: string;
            /** Format: date-time */
            started_at: string | null;
            state: components["schemas"]["State"];
            /** Format: double */
            timeout: number | null;
            traceparent?: string | null;
            unique: components["schemas"]["JobUniqueKey"] | null;
            /** Format: int32 */
            version: number;
            /** @example signal:approve */
            waits_for: string | null;
            /** Format: date-time */
            wakes_at: string | null;
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
            searched: components["schemas"]["Searched"];
        };
        JobUniqueKey: {
            holder?: string | null;
            key: string;
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
        Key: {
            /** Format: date-time */
            closed_until: string | null;
            /** @example provider:openai */
            key: string;
            /** Format: int64 */
            max_waiting: number | null;
            on_full: components["schemas"]["OnFull"];
            own: boolean;
            rate: components["schemas"]["Rate"] | null;
            /** Format: date-time */
            rate_free_at: string | null;
            /** Format: int64 */
            running: number;
            /** Format: int32 */
            slots: number | null;
            /** Format: int64 */
            waiting: number;
            /** Format: int32 */
            weight: number;
            /** @example slots_key */
            why?: string | null;
        };
        KeyLimits: {
            /** Format: int64 */
            max_waiting?: number | null;
            on_full?: components["schemas"]["OnFull"] | null;
            rate?: components["schemas"]["RateLimit"] | null;
            /** Format: int32 */
            slots?: number | null;
            /** Format: int32 */
            weight?: number | null;
        };
        KeyList: {
            keys: components["schemas"]["Key"][];
            next: string | null;
        };
        KeyPause: {
            /** Format: double */
            for?: number | null;
        };
        Kind: {
            /** Format: int64 */
            completed: number;
            /** Format: int64 */
            failed: number;
            kind: string;
            known: boolean;
            /** Format: int32 */
            newest_supported: number | null;
            run: components["schemas"]["Times"];
            versions: components["schemas"]["KindVersion"][];
            wait: components["schemas"]["Times"];
            /** Format: int64 */
            workers: number;
        };
        KindList: {
            kinds: components["schemas"]["Kind"][];
        };
        KindTotals: components["schemas"]["StatsTotals"] & {
            kind: string;
        };
        KindVersion: {
            known: boolean;
            /** Format: date-time */
            oldest_at: string;
            queue: string;
            /** Format: int32 */
            version: number;
            /** Format: int64 */
            waiting: number;
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
        LogEvent: components["schemas"]["EventPlace"] & {
            level: components["schemas"]["LogLevel"];
            message: string;
        };
        /** @enum {string} */
        LogLevel: "debug" | "info" | "warn" | "error";
        Me: {
            name?: string | null;
            role?: components["schemas"]["Role"] | null;
            scopes?: string[] | null;
        };
        Near: {
            methods: string[];
            /** @example /api/jobs/{id} */
            path: string;
        };
        NewJob: {
            args: unknown;
            cancel_on_disconnect?: boolean | null;
            cost?: components["schemas"]["CostRequest"] | null;
            deadline?: components["schemas"]["DeadlineBody"] | null;
            /** Format: double */
            delay?: number | null;
            depends_on?: components["schemas"]["DependencyRequest"][] | null;
            /** Format: double */
            expires_in?: number | null;
            id?: string | null;
            key?: string | null;
            /** @example welcome */
            kind: string;
            labels?: {
                [key: string]: string;
            } | null;
            limit_keys?: string[] | null;
            /** Format: int32 */
            max_attempts?: number | null;
            on_exhausted?: components["schemas"]["OnExhausted"] | null;
            parent?: string | null;
            prefer?: {
                [key: string]: string;
            } | null;
            prefer_hard?: boolean | null;
            /** Format: int32 */
            priority?: number | null;
            queue?: string | null;
            /** Format: date-time */
            run_at?: string | null;
            /** Format: double */
            timeout?: number | null;
            unique?: components["schemas"]["Unique"] | null;
            webhook?: components["schemas"]["Webhook"] | null;
        };
        NewSchedule: {
            catch_up?: components["schemas"]["CatchUp"] | null;
            /** @example 0 3 * * * */
            cron?: string | null;
            /** Format: double */
            every?: number | null;
            /** Format: double */
            jitter?: number | null;
            job: components["schemas"]["NewJob"];
            paused?: boolean | null;
            /** @example Europe/Berlin */
            timezone?: string | null;
        };
        NewToken: {
            /** Format: double */
            expires_in?: number | null;
            /** @example the shop */
            name: string;
            rate?: components["schemas"]["TokenRate"] | null;
            /**
             * @example [
             *       "enqueue:mail.*",
             *       "read:own"
             *     ]
             */
            scopes: string[];
        };
        Nothing: Record<string, never>;
        /** @enum {string} */
        OnClash: "join" | "refresh" | "reject" | "replace" | "debounce" | "throttle" | "supersede" | "follow";
        /** @enum {string} */
        OnExhausted: "fail" | "pause";
        /** @enum {string} */
        OnFailure: "cancel" | "run";
        /** @enum {string} */
        OnFull: "reject" | "drop_oldest" | "drop_newest";
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
                cancel_reason?: components["schemas"]["CancelReason"];
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
        } | {
            waits: {
                error?: components["schemas"]["Failure"] | null;
                on: string;
                timeout?: components["schemas"]["Seconds"] | null;
            };
        };
        OutputEvent: components["schemas"]["EventPlace"] & {
            output: unknown;
        };
        Problem: {
            /** @example invalid */
            code: string;
            detail: string;
            errors?: components["schemas"]["FieldError"][];
            nearest?: components["schemas"]["Near"][];
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
        ProgressEvent: components["schemas"]["EventPlace"] & {
            data: unknown;
            message: string;
            /** Format: double */
            percent: number;
        };
        Queue: {
            config: components["schemas"]["QueueConfig"];
            counts: components["schemas"]["BullCounts"];
            /** @example default */
            name: string;
            paused: boolean;
            /** Format: date-time */
            rate_free_at: string | null;
            /** Format: int32 */
            rate_left: number | null;
            states: components["schemas"]["StateCounts"];
            /** Format: int64 */
            used: number | null;
        };
        QueueConfig: {
            fair: boolean;
            /** Format: int64 */
            max_waiting: number | null;
            on_full: components["schemas"]["OnFull"];
            rate: components["schemas"]["Rate"] | null;
            retention: components["schemas"]["Retention"];
            /** Format: int32 */
            slots: number | null;
        };
        QueueList: {
            queues: components["schemas"]["Queue"][];
        };
        QueuePatch: {
            fair?: boolean | null;
            /** Format: int64 */
            max_waiting?: number | null;
            on_full?: components["schemas"]["OnFull"] | null;
            rate?: components["schemas"]["RateLimit"] | null;
            retention?: components["schemas"]["RetentionPatch"];
            /** Format: int32 */
            slots?: number | null;
        };
        QueueSlots: {
            queue: string;
            slots: number;
        };
        QueueTotals: components["schemas"]["StatsTotals"] & {
            queue: string;
        };
        Rate: {
            /** Format: int32 */
            burst: number;
            /** Format: int32 */
            n: number;
            /** Format: double */
            per: number;
        };
        RateLimit: {
            /** Format: int32 */
            burst?: number | null;
            /** Format: int32 */
            n: number;
            /** Format: double */
            per: number;
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
        Reason: {
            key?: string | null;
            /** Format: int64 */
            of?: number | null;
            rule: string;
            /** Format: date-time */
            until?: string | null;
            /** Format: int64 */
            used?: number | null;
            waits_for?: string[];
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
        Retry: {
            args?: unknown;
            /** @example summary */
            from_step?: string | null;
        };
        /** @enum {string} */
        Role: "viewer" | "operator" | "admin";
        Schedule: {
            catch_up: components["schemas"]["CatchUp"];
            /** @example 0 3 * * * */
            cron: string | null;
            /** @example At 03:00 (Europe/Berlin) */
            description: string;
            /** Format: int64 */
            every: number | null;
            /** Format: double */
            jitter: number;
            job: components["schemas"]["ScheduledJob"];
            /** Format: date-time */
            last_at: string | null;
            last_job: string | null;
            /** @example nightly */
            name: string;
            next: string[];
            origin: components["schemas"]["ScheduleOrigin"];
            paused: boolean;
            recent: components["schemas"]["ScheduleTick"][];
            /** @example Europe/Berlin */
            timezone: string;
        };
        ScheduleList: {
            schedules: components["schemas"]["Schedule"][];
        };
        /** @enum {string} */
        ScheduleOrigin: "call" | "file";
        ScheduleTick: {
            /** Format: date-time */
            at: string;
            job: string;
            state: string | null;
        };
        ScheduledJob: {
            args: unknown;
            cost: components["schemas"]["Cost"];
            deadline?: components["schemas"]["DeadlineBody"] | null;
            /** Format: double */
            expires_in?: number | null;
            key: string | null;
            kind: string;
            labels: {
                [key: string]: string;
            };
            limit_keys: string[];
            /** Format: int32 */
            max_attempts: number;
            on_exhausted: components["schemas"]["OnExhausted"];
            prefer?: {
                [key: string]: string;
            } | null;
            prefer_hard?: boolean;
            /** Format: int32 */
            priority: number;
            queue: string;
            /** Format: double */
            timeout: number | null;
            unique: components["schemas"]["ScheduledUnique"] | null;
            webhook?: components["schemas"]["Webhook"] | null;
        };
        ScheduledUnique: {
            /** Format: double */
            delay?: number | null;
            edge?: components["schemas"]["Edge"] | null;
            key: string;
            /** Format: double */
            max_delay?: number | null;
            on_clash: components["schemas"]["OnClash"];
            /** Format: double */
            period: number | null;
            states?: components["schemas"]["State"][] | null;
        };
        Searched: {
            complete: boolean;
            /** Format: int64 */
            jobs: number;
        };
        /** Format: double */
        Seconds: number;
        SignalToken: {
            /** Format: date-time */
            expires_at: string;
            /** @example /api/signals/eyJ0… */
            path: string;
            token: string;
        };
        SignalTokenRequest: {
            /** Format: double */
            expires_in?: number | null;
        };
        Signalled: {
            accepted: boolean;
        };
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
        StateEvent: components["schemas"]["EventPlace"] & {
            cancel_reason?: components["schemas"]["CancelReason"] | null;
            cancel_requested?: boolean;
            children?: components["schemas"]["Children"] | null;
            error: components["schemas"]["AttemptError"] | null;
            state: components["schemas"]["State"];
        };
        Stats: {
            kinds: components["schemas"]["KindTotals"][];
            /** Format: date-time */
            oldest_waiting: string | null;
            queues: components["schemas"]["QueueTotals"][];
            run: components["schemas"]["Times"];
            series: components["schemas"]["StatsPoint"][];
            /** Format: double */
            step: number;
            wait: components["schemas"]["Times"];
            /** Format: double */
            window: number;
        };
        StatsCounts: {
            /** Format: int64 */
            cancelled: number;
            /** Format: int64 */
            completed: number;
            /** Format: int64 */
            enqueued: number;
            /** Format: int64 */
            failed: number;
            /** Format: int64 */
            retried: number;
        };
        StatsPoint: components["schemas"]["StatsCounts"] & {
            /** Format: date-time */
            at: string;
        };
        StatsTotals: components["schemas"]["StatsCounts"] & {
            run: components["schemas"]["Times"];
            wait: components["schemas"]["Times"];
        };
        Step: {
            /** Format: int32 */
            attempt: number;
            /** Format: date-time */
            finished_at: string | null;
            name: string;
            output?: unknown;
            /** Format: date-time */
            started_at: string | null;
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
        StoreDependants: {
            id: string;
            limit: number;
        };
        StoreDependantsRead: {
            dependants: string[];
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
        StoreKeyName: {
            key: string;
        };
        StoreKeys: {
            keys: unknown[];
        };
        StoreKeysFilter: {
            filter: unknown;
        };
        StoreLanes: {
            lanes: unknown[];
        };
        StoreList: {
            filter: unknown;
            page: unknown;
        };
        StorePauseKey: {
            key: string;
            pause: components["schemas"]["Seconds"];
        };
        StorePutSamples: {
            samples: unknown[];
        };
        StoreQueueName: {
            queue: string;
        };
        StoreQueues: {
            queues: unknown[];
        };
        StoreSamples: {
            /** Format: int64 */
            from: number;
            series: string;
        };
        StoreSamplesRead: {
            samples: unknown[];
        };
        StoreSetKey: {
            config: unknown;
            key: string;
        };
        StoreSetQueue: {
            config: unknown;
            queue: string;
        };
        StoreSignal: {
            id: string;
            name: string;
            value: unknown;
        };
        StoreSignalled: {
            signalled: string;
        };
        StoreSteps: {
            id: string;
        };
        StoreStepsRead: {
            steps: unknown[] | null;
        };
        StoreSweep: {
            limit: number;
        };
        StoreUpdateQueue: {
            before: unknown;
            config: unknown;
            queue: string;
        };
        StoreUpdatedQueue: {
            updated: boolean;
        };
        StoreWorkers: {
            workers: unknown[];
        };
        StreamedEvent: {
            data: string;
            /** @enum {string} */
            event: "state";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "progress";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "log";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "chunk";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "output";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "reset";
            id: string;
        } | {
            data: string;
            /** @enum {string} */
            event: "gap";
            id: string;
        };
        SupportedKind: {
            /** @example paint */
            kind: string;
            /** Format: int32 */
            version?: number;
        };
        Times: {
            /** Format: double */
            max: number | null;
            /** Format: double */
            p50: number | null;
            /** Format: double */
            p90: number | null;
            /** Format: double */
            p99: number | null;
        };
        Token: {
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            id: string;
            name: string;
            rate: components["schemas"]["TokenRate"] | null;
            scopes: string[];
            /** @example lht_… */
            token?: string | null;
        };
        TokenList: {
            tokens: components["schemas"]["Token"][];
        };
        TokenRate: {
            /** Format: int32 */
            n: number;
            /** Format: double */
            per: number;
        };
        Unique: {
            /** Format: double */
            delay?: number | null;
            edge?: components["schemas"]["Edge"] | null;
            fields?: string[] | null;
            key?: string | null;
            /** Format: double */
            max_delay?: number | null;
            on?: string[] | null;
            on_clash?: components["schemas"]["OnClash"];
            /** Format: double */
            period?: number | null;
            states?: components["schemas"]["State"][] | null;
        };
        UniqueKey: {
            delay?: components["schemas"]["Seconds"] | null;
            edge?: components["schemas"]["Edge"] | null;
            key: string;
            max_delay?: components["schemas"]["Seconds"] | null;
            on_clash?: components["schemas"]["OnClash"];
            period?: components["schemas"]["Seconds"] | null;
            states?: components["schemas"]["State"][] | null;
        };
        Webhook: string | components["schemas"]["WebhookOptions"];
        /** @enum {string} */
        WebhookEvent: "completed" | "failed" | "cancelled";
        WebhookOptions: {
            events?: components["schemas"]["WebhookEvent"][] | null;
            /** @example https://example.com/hooks/jobs */
            url: string;
        };
        WebhookSecret: {
            /** Format: date-time */
            created_at: string;
            id: string;
            /** @example whsec_… */
            secret?: string | null;
        };
        WebhookSecretList: {
            secrets: components["schemas"]["WebhookSecret"][];
        };
        Why: {
            cancel_reason: components["schemas"]["CancelReason"] | null;
            /** Format: date-time */
            ends_at: string | null;
            /** Format: int64 */
            eta_seconds: number | null;
            /** Format: int64 */
            position: number | null;
            reasons: components["schemas"]["Reason"][];
            state: components["schemas"]["State"];
        };
        Worker: {
            host: string;
            id: string;
            kinds: components["schemas"]["SupportedKind"][];
            labels: {
                [key: string]: string;
            };
            process: string;
            queues: components["schemas"]["QueueSlots"][];
            /** Format: date-time */
            seen_at: string;
            /** Format: date-time */
            started_at: string | null;
            version: string;
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
            /** Format: int32 */
            cost?: number | null;
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
            kinds?: components["schemas"]["SupportedKind"][];
            labels?: {
                [key: string]: string;
            };
            process?: string;
            queues?: components["schemas"]["QueueSlots"][];
            /** Format: date-time */
            started_at?: string | null;
            /** @example longhaul-py 0.1.0 */
            version?: string;
        };
        WorkerRecord: {
            entries: components["schemas"]["Entry"][];
            lease: components["schemas"]["Lease"];
        };
        WorkerRecords: {
            records: components["schemas"]["WorkerRecord"][];
        };
        WorkerSignalToken: {
            /** Format: double */
            expires_in?: number | null;
            id: string;
            name: string;
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
