-- The layout that all scripts share: keys, the fields of a job, constants, and the time.
--
-- KEYS[1]  the root of all keys, with its hash tag, so that they are in one slot: '{prefix}:'
-- ARGV[1]  the time in milliseconds, or '' for the server's own clock
--
-- <root>m:ID        the fields of a job: those that change and then those that do not, packed as `pack` does
-- <root>d:ID        the data of a job, which scripts carry and only a retry with other args changes: args, labels, ...
-- <root>x:ID        a hash: progress, an output too long for the fields, the bounds of the log, and for each step 'step|NAME' ->
--                   'number|attempt|end|how long it took'
-- <root>e:ID        a list of its errors
-- <root>t:ID        a hash of the outputs of its steps, by name
-- <root>l:ID        a stream, its log; the number of an event is the id of the entry
-- <root>all         ids by seq; <root>state|S: those in a state that few jobs are in, for lists of these
-- <root>lane|Q|K|V  a claim source: the available jobs of a queue, kind and version by rank; a member is a seq, an id and
--                   a queue. Those with limit keys stand behind all others (their scores are greater by KEYED), where the
--                   previous release finds them, and counts and places are read
-- <root>lanes|Q     a set of 'K|V': the claim sources of a queue that are not empty; and 'K|V|groups' where one has open groups
-- <root>group|Q|K|V|KEYS   a group: the available jobs with the same limit keys, as KEYS joins them, by rank
-- <root>placed      a hash: 'Q|K|V|KEYS' -> '0…|seq|rank|' of the head of a group, and where it is kept back 'key|slots,units'
-- <root>groups|Q|K|V       the open groups of a lane: 'seq|0…|KEYS' by rank of the head, or in a fair queue KEYS by turn
-- <root>closed|KEY|COST|Q|K|V  the groups that a key keeps back, with the same members; COST is 'slots,units' of each head
-- <root>closing|KEY a set of 'COST|Q|K|V': the lists that a key has; <root>closing: the keys with lists, all of score 0
-- <root>hung|Q      'KEY K|V|KEYS' for each key of each group of a queue, all of score 0
-- <root>limits      a hash: limit key -> 'slots|free|rate': the slots that are taken, the microsecond at which all units of its
--                   rate are free, and the rate by which that was counted
-- <root>limit_config  a hash: limit key or prefix with its '*' -> its limits, packed as `limits.lua` names them;
--                   <root>limit_lengths: a hash of the lengths of the prefixes -> how many there are
-- <root>named       the names in that hash, all of score 0
-- <root>opens       limit keys with lists, by when time opens one of these; and 'PREFIX*|KEY': the keys behind one; '=Q': the limits of a
--                   queue; ';Q': the jobs of a queue that have waited for workers whom they prefer
-- <root>holding     a hash: id -> 'slots|token|KEYS' of a running job with limit keys, the token with zeros before it (the previous
--                   release has written some without); <root>holding_at, <root>limits_at: how far the sweep has looked at these
-- <root>fair        a set of the fair queues; <root>turn|Q: a hash of KEYS -> turn, and '*' -> the latest that was taken;
--                   <root>turn_at: a hash of a queue -> how far the sweep has looked at these;
--                   <root>rehung: a hash of a queue -> how far its groups were moved to their places since that was changed
-- <root>limited     a set of the queues with limits. These are among the limits of keys under a name that no key has, '=Q', and so is what
--                   is taken of them and what runs hold of them
-- <root>preferring  a hash: 'Q|K;PREFER|V' -> how many groups a lane has. What a job prefers stands behind its limit keys, as
--                   'KEY,KEY;LABEL=VALUE;LABEL=VALUE' or ';!LABEL=VALUE', and in the names of groups behind its kind. While there are
--                   such groups, 'K;PREFER|V' is among the lanes of the queue, without a claim source of its own
-- <root>scheduled   members by run_at
-- <root>waking      members of blocked jobs whose wait has an end of its own, by when that is
-- <root>running     members by the end of their leases
-- <root>stopping    members that were asked to stop, by the end of their grace
-- <root>ended|Q|S   members by when their retention begins, or until when it passes over them
-- <root>prune       'Q|S' by when its oldest job may be removed, and '*' by when all of them are to be looked for
-- <root>capped      a set of the queues whose retention has a count
-- <root>counts      a hash: 'Q|S' -> number of jobs
-- <root>queues      a hash: queue -> its configuration in JSON
-- <root>bounds      a hash: 'qQUEUE' or 'kKEY' -> 'n|what happens when so many wait', of queues, limit keys and prefixes that bound
--                   how many may; while there are any, <root>waiting has what waits with a bound, all of score 0: 'qQUEUE ' or
--                   'kKEY ' and the member. <root>waiting_at: how far the sweep has looked at these
-- <root>timed       members of jobs that have an end, by when that is; those that have been started since they waited stay until
--                   then. <root>overdue: those that the sweep is to ask to stop
-- <root>uncounted   children of jobs that have begun and have not counted their ends, by the seqs of these: seqs and ids, and the parents'
--                   ids; <root>uncounted_at: how far the sweep has looked at these
-- <root>expected    a hash: seq -> how many children a job was imported with as unfinished that have not been imported yet
-- <root>dependants|SEQ  the jobs that were enqueued to depend on the job of that seq: their seqs and ids, by seq
-- <root>unsettled|SEQ   those of these that have not counted its end, by seq: '1' where it may end in any way or else '0', seq and id
-- <root>awaited     members of jobs with such dependants, all of score 0; <root>awaited_at: how far the sweep has looked at these
-- <root>settling    'NUMBER|STATE' by number: ends of jobs that very many dependants are still to count, which stand in
--                   <root>settling|NUMBER as they did among the unsettled ones
-- <root>unique      a hash: unique key -> 'expiry|id', the expiry 0 while the job has not ended. A job that has not ended and
--                   whose hold has an expiry holds the key until then, whatever becomes of it
-- <root>promises    a hash: idempotency key -> packed {expiry, fingerprint, id}
-- <root>paused      limit keys by when their pauses end
-- <root>paused_queues  a set of the queues of which nothing is claimed
-- <root>of|ID       the ids of the jobs that name a job as their parent, by seq
-- <root>forget      what expires when: 'u' and a unique key, 'i' and an idempotency key
-- <root>gone        ids of removed jobs, by when they are forgotten
-- <root>workers     worker ids by when they were heard of; <root>worker: a hash of worker id -> its WorkerInfo in JSON
-- <root>samples     names of samples, 'series|moment|source', all of score 0; <root>samples_end: the same by when they are
--                   forgotten; <root>sample: a hash of name -> 'end|how long it is kept|body'
-- <root>watched     a set of the topics that somebody waits for: 'q' and a queue, 'j' and the id of a job
-- <root>last        the last number drawn
-- <root>schema      the version of this layout

-- Names that stand for numbers, texts and the server's functions are replaced by these when a script is loaded, because a
-- function of Lua's pays for each local variable of the script that it uses: see `scripts.rs`.

local call, format, find, sub = redis.call, string.format, string.find, string.sub
local struct_pack, struct_unpack, max, min = struct.pack, struct.unpack, math.max, math.min
local root = KEYS[1]

-- The fields that change. Of the times, 0 is none. TOKEN is 0 unless the job runs or was ended by a finish.
local STATE, RUN_AT, ATTEMPT, CRASHES, INTERRUPTIONS, TOKEN, STARTED_AT, FINISHED_AT = 1, 2, 3, 4, 5, 6, 7, 8
local LEASE_UNTIL, CANCEL_BY, LAST_EVENT, STATE_EVENT, STATE_AT = 9, 10, 11, 12, 13
-- LOG is 0 for an empty log, 1 for one that ends in a reset, 2 for any other. OUTPUT_AT is 0 where there is no output, 1
-- where it is in OUTPUT, 2 where it is in the hash beside. CHILDREN are four counts, in a job that waits or waited for
-- them: all, completed, failed and cancelled ones. An empty string is none.
local LOG, STEPS, ERRORS, PROGRESS, OUTPUT_AT, WORKER, OUTPUT, CHILDREN = 14, 15, 16, 17, 18, 19, 20, 21
local CHANGING = '>Bi8I4I4I4i8i8i8i8i8I4I4i8BI4BBBI2c0I4c0I2c0'
-- The same before the rest, which does not change and is handed on as it is.
local CHANGING_AND_REST = '>Bi8I4I4I4i8i8i8i8i8I4I4i8BI4BBBI2c0I4c0I2c0c0'
local COUNTS = '>I4I4I4I4'

-- FIXED are the fields that do not change, still packed; the others are what `decode` makes of it. BATCH is the seq of the
-- parent that counts the job, or 0; PERIOD is -1 for none. After these comes the time of creation, which no script reads.
local FIXED, SEQ, BATCH, VERSION, PRIORITY, MAX_CRASHES, PERIOD = 22, 23, 24, 25, 26, 27, 28
local QUEUE, KIND, UNIQUE, LIMIT_KEY, PARENT = 29, 30, 31, 32, 33
local TO_UNIQUE = '>i8i8I4i4I4i8I2c0I2c0I2c0'
local FIXED_FORMAT = '>i8i8I4i4I4i8I2c0I2c0I2c0I2c0I2c0'
-- Behind the time of creation are the slots and units of a rate that a job costs, where it is not one of each. LIMIT_KEY is all
-- limit keys of a job, with commas.
local COST, COST_BYTES = '>I4I4', 8
-- A job that time may end, or that more belongs to than to most, has a tail behind its cost. PERIOD is below -1 where it would be
-- -1 then, so that a simple completion is not taken for all of its end. EXPIRES_AT and DEADLINE are 0 for none, HELD_UNTIL is 0 or
-- until when it holds its unique key whatever becomes of it, REASON 0 or why it was cancelled or asked to stop, and ENDS has a
-- bit for each end after which it keeps its unique key.
local EXPIRES_AT, DEADLINE, HELD_UNTIL, REASON, ENDS = 34, 35, 36, 37, 38
local TAIL, TAIL_BYTES, TAILED = '>i8i8i8BB', 26, -2
-- A job that waits, or is waited for, has this behind its tail. WAITS_FOR is what a blocked job waits for, or 0 for its children; WAKES
-- is 1 where it goes on at RUN_AT all the same, and SIGNAL the name of the signal. AWAITED is 1 where jobs depend on it, or did;
-- DEPENDS is 1 where it depends on jobs, or did, and LEFT is how many of them have not ended. BEHIND is the job that it follows and was
-- given its unique key by.
local WAITS_FOR, WAKES, AWAITED, DEPENDS, LEFT, SIGNAL, BEHIND = 39, 40, 41, 42, 43, 44, 45
local WAITS_TAIL = '>BBBBI2I2c0I2c0'
local COST_AND_TAIL, COST_AND_TAILS = '>I4I4i8i8i8BB', '>I4I4i8i8i8BBBBBBI2I2c0I2c0'
local ON_JOBS, ON_CHILDREN, ON_SIGNAL, ON_PERSON = 1, 2, 3, 4
-- The reasons for which a job is cancelled, as `CancelReason` has them.
local ASKED, EXPIRED, OVERDUE, SUPERSEDED, UNMET, DROPPED, ORPHANED = 1, 2, 3, 4, 5, 6, 7
-- For how long a job waits for workers whom it prefers, from when it falls due.
local PREFER_FOR = 1000
-- The time that a running job is given to stop which nobody has named one for.
local STOP_GRACE = 30000
-- The number that is added to the rank of a job with limit keys in its lane, and the end of the range of the others.
local KEYED, PLAIN = 2251799813685248, '(2251799813685248'

local BLOCKED, SCHEDULED, AVAILABLE, RUNNING, COMPLETED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6
local HELD, CANCEL_REQUESTED, LOST = 0, 1, 2
-- The index of a job's dependencies in its data: ids, each before a 1 if any end of it counts, else a 0.
local DEPENDS_ON = 7

local KEPT_ERRORS = 20
local GONE_FOR = 86400000
-- For how long retention passes over a job that others depend on which have not ended, and how many of these it looks at.
local AWAITED_FOR, DEPENDANTS_LOOKED_AT = 60000, 100
-- The last millisecond of the year 9999, beyond which nothing waits.
local END_OF_TIME = 253402300799999
local MOST = 4294967295
local PRIORITY_STEP = 60000
-- The longest output that is kept among the fields.
local SHORT_OUTPUT = 512
-- Lua takes no more than some 8,000 arguments.
local ARGUMENTS = 4000

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Runs a command that writes. Nothing undoes what a script has written, so a command that fails (a key of a wrong type,
-- which somebody else has put there) must not keep the rest from being written.
local function write_now(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    redis.log(redis.LOG_WARNING, 'longhaul: ' .. (...) .. ' ' .. tostring(select(2, ...)) .. ': ' .. answer.err)
    return nil
  end
  return answer
end

-- Runs a writing command with any number of arguments, after a key where there is one.
local function write_all(command, key, arguments)
  for from = 1, #arguments, ARGUMENTS do
    local to = min(from + ARGUMENTS - 1, #arguments)
    if key then
      write_now(command, key, unpack(arguments, from, to))
    else
      write_now(command, unpack(arguments, from, to))
    end
  end
end
