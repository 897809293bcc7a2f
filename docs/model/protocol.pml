/*
 * The protocol of one run of one job: two stages of three tasks, then the job's result.
 *
 * Two workers, a relay, the reconciler's rules, time, faults and a person take steps in any order. One
 * atomic step is one committed transaction, or one action on a queue. README.md says what each process
 * stands for and what was left out; ./check runs the verifier.
 *
 * How often each fault may strike, and which line of defence is taken away, is chosen by -D.
 */

#ifndef CRASHES
#define CRASHES 0       /* a worker or the relay is killed, at any step */
#endif
#ifndef STALLS
#define STALLS 0        /* a lease ends although its holder lives, and goes on */
#endif
#ifndef LOSSES
#define LOSSES 0        /* a message vanishes from its queue */
#endif
#ifndef DUPLICATES
#define DUPLICATES 0    /* a message is delivered, and stays */
#endif
#ifndef FAILURES
#define FAILURES 0      /* a handler or a planner raises; a task's last attempt is used up */
#endif
#ifndef CANCELS
#define CANCELS 0       /* a person cancels the job */
#endif
#ifndef RETRIES
#define RETRIES 0       /* a person retries the ended job */
#endif
#ifndef THEFTS
#define THEFTS 0        /* other hands delete a row of the outbox; adds the rule that mends it */
#endif

#define TASKS 3         /* of each stage */
#define STAGES 2        /* stage STAGES + 1 is the making of the job's result */
#define BRIEF 2         /* the stage that runs where it was planned */

/* Dispatches: the job's message, one for each single task, one for a batch. */
#define JOB 0
#define ONE(t) ((t) + 1)
#define BATCH 4
#define DISPATCHES 5
#define MASK(d, s) ((d) == BATCH -> ((s) == BRIEF -> 7 : 3) : 1 << ((d) - 1))

mtype:jobs = { JobQueued, JobProcessing, JobCancelling, JobCompleted, JobFailed, JobCancelled };
mtype:tasks = { NoTask, Queued, Running, Completed, Failed, Cancelled };
mtype:rows = { Absent, Pending, Held, Sent };

/* The database: the job's row, its current stage's row, that stage's tasks, and the outbox. */
mtype:jobs job = JobQueued;
byte stage = 1;
byte planFence, planClaims, planner;
bool planLeaseOver;
bool planned, failing;
mtype:tasks task[TASKS] = NoTask;
byte taskFence[TASKS], owner[TASKS];    /* owner 0 of a running task: its worker is dead */
bool leaseOver[TASKS];
mtype:rows outbox[DISPATCHES] = Absent;

/* The queues: which messages lie in them, of each stage. */
bool jobQueue[STAGES + 2];
byte taskQueue[STAGES + 2];

/* What is left of the faults. */
byte crashes = CRASHES, stalls = STALLS, losses = LOSSES, duplicates = DUPLICATES;
byte failures = FAILURES, cancels = CANCELS, retries = RETRIES, thefts = THEFTS;

/* A worker is killed by a handshake with it, which takes no time. */
chan kill[3] = [0] of { bit };
bool busy[3];                           /* at work; to kill an idle worker changes nothing */
bool claiming[3];                       /* holds the lock that claims share and a cancellation takes alone */

/* For the properties only. */
byte written;                           /* tasks of the stage whose result was written */
byte finishedStages;
bool finished;                          /* the person has nothing left to wait for */

hidden byte i;
bool moved;

#define TERMINAL (job == JobCompleted || job == JobFailed || job == JobCancelled)
#define UNFINISHED(t) (task[t] == Queued || task[t] == Running)
#define STAGE_UNFINISHED (UNFINISHED(0) || UNFINISHED(1) || UNFINISHED(2))
#define STAGE_HAS(state) (task[0] == state || task[1] == state || task[2] == state)

/* The lines of defence, and what is left where one is taken away. */
#ifdef NO_FENCING
#define OWNS_TASK(t, fence) true
#else
#define OWNS_TASK(t, fence) (taskFence[t] == fence)
#endif
#ifdef NO_PLAN_FENCING
#define OWNS_PLAN(plan) true
#else
#define OWNS_PLAN(plan) (planFence == plan)
#endif
#ifdef NO_COMPARE_AND_SET
#define STILL_AT(s) true
#else
#define STILL_AT(s) (s == stage && (job == JobProcessing || job == JobCancelling))
#endif
#ifdef NO_SECOND_LOOK
#define SEEN_FINISHED(s) true
#else
#define SEEN_FINISHED(s) !(s == stage && STAGE_UNFINISHED)
#endif
#ifdef NO_CLAIM_LOCK
#define NO_CLAIM_UNDER_WAY true
#else
#define NO_CLAIM_UNDER_WAY (!claiming[1] && !claiming[2])
#endif

ltl every_job_ends { <> finished }

inline clear_outbox() {
    d_step { for (i : 0 .. DISPATCHES - 1) { outbox[i] = Absent }; i = 0 }
}

inline end_job(status) {
    assert(!TERMINAL);
    assert(!STAGE_UNFINISHED);
    job = status;
    planFence = 0; planner = 0; planLeaseOver = false;
    clear_outbox()
}

inline start_next_stage() {
    /* Messages of a stage that has ended differ in nothing: one stands for all. */
    taskQueue[stage] = (taskQueue[stage] -> 1 << BATCH : 0);
    stage = stage + 1;
    planned = false; planClaims = 0; planFence = 0; planner = 0; planLeaseOver = false;
    written = 0;
    d_step { for (i : 0 .. TASKS - 1) { task[i] = NoTask; taskFence[i] = 0 }; i = 0 };
    clear_outbox();
#ifndef NO_OUTBOX
    outbox[JOB] = Pending
#endif
}

/* app.finish_stage, under the job's lock: look again, and compare-and-set. Sets `moved`. */
inline finish_stage(s) {
    moved = false;
    if
    :: STILL_AT(s) && SEEN_FINISHED(s) ->
       if
       :: s < stage || planned ->
          assert(!(finishedStages & (1 << s)));
          assert(s == stage && !STAGE_UNFINISHED && !STAGE_HAS(NoTask));
          assert(job != JobProcessing || failing || STAGE_HAS(Failed) || written == 7);
          finishedStages = finishedStages | (1 << s);
          moved = true;
          if
          :: job == JobCancelling -> end_job(JobCancelled)
          :: job != JobCancelling && (failing || STAGE_HAS(Failed)) -> end_job(JobFailed)
          :: else -> start_next_stage()
          fi
       :: s == stage && !planned && job == JobCancelling ->
          moved = true;
          end_job(JobCancelled)
       :: else
       fi
    :: else
    fi
}

/* app.seal_stage: the stage, all its tasks and their dispatches, in one transaction. */
inline fan_out() {
    assert(!planned);
    planned = true;
    planClaims = 0; planFence = 0; planner = 0; planLeaseOver = false;
    d_step { for (i : 0 .. TASKS - 1) { task[i] = Queued }; i = 0 };
#ifdef PIECEMEAL
    task[TASKS - 1] = NoTask;
#endif
    outbox[JOB] = Absent;
#if !defined(NO_OUTBOX) && !defined(SEND_BEFORE_COMMIT)
    outbox[BATCH] = Pending;
    if
    :: stage != BRIEF -> outbox[ONE(2)] = Pending
    :: else
    fi
#endif
}

#define SEND_STAGE(s) taskQueue[s] = taskQueue[s] | (1 << BATCH) | (s == BRIEF -> 0 : 1 << ONE(2))

#define WAITS(t, d) ((MASK(d, stage) & (1 << t)) && task[t] == Queued)
#define NEEDED(d) (WAITS(0, d) || WAITS(1, d) || WAITS(2, d))

/* The rows that app.claim_tasks takes: those queued. What was lost is queued by the reconciler first. */
inline claim_tasks() {
    d_step {
        for (i : 0 .. TASKS - 1) {
            if
            :: s == stage && (mask & (1 << i)) && task[i] == Queued ->
               assert(planned && !TERMINAL && job != JobCancelling);
               task[i] = Running;
               taskFence[i] = taskFence[i] + 1;
               owner[i] = me;
               leaseOver[i] = false;
               held[i] = taskFence[i]
            :: else
            fi
        };
        for (i : 1 .. DISPATCHES - 1) {
            if
            :: outbox[i] == Sent && !NEEDED(i) -> outbox[i] = Absent
            :: else
            fi
        };
        i = 0
    }
}

/* app.finish_tasks: the outcome of one attempt. What raced with a cancellation may queue the task again. */
inline report(s, t, fence) {
    if
    :: s == stage && task[t] == Running && OWNS_TASK(t, fence) ->
       assert(taskFence[t] == fence);
       assert(!TERMINAL);
       owner[t] = 0; leaseOver[t] = false;
       if
       :: task[t] = Completed;
          assert(!(written & (1 << t)));
          written = written | (1 << t);
          taskFence[t] = 0      /* never handed out again in this stage */
       :: failures > 0 -> failures--; task[t] = Failed; failing = true
       :: failures > 0 -> failures--; task[t] = Queued; outbox[ONE(t)] = Pending
       :: failures > 0 && failing -> failures--; task[t] = Failed
       :: job == JobCancelling -> task[t] = Cancelled
       fi
    :: else
    fi;
    fence = 0
}

inline receive(here) {
    if
    :: here = 0
    :: duplicates > 0 -> duplicates--
    fi
}

inline receive_dispatch(d, at) {
    if
    :: taskQueue[at] = taskQueue[at] & ~(1 << d)
    :: duplicates > 0 -> duplicates--
    fi;
    s = at; mask = MASK(d, at); busy[me] = true
}

#define RUN_IF_BRIEF \
    if \
    :: s == BRIEF -> mask = MASK(BATCH, s) \
    :: else -> s = 0; busy[me] = false; goto end_idle \
    fi

/* Idle workers are alike, so that of two the first may be taken. */
#define MAY_RECEIVE !finished && (me == 1 || busy[1])

/* A worker: takes a message, plans or runs what it names, and goes on with what follows from that. */
proctype Worker(byte me) {
    byte s, plan, mask, held[TASKS];
end_idle:
    {
        if
        :: atomic { jobQueue[1] && MAY_RECEIVE -> receive(jobQueue[1]); s = 1; busy[me] = true }; goto to_plan
        :: atomic { jobQueue[2] && MAY_RECEIVE -> receive(jobQueue[2]); s = 2; busy[me] = true }; goto to_plan
        :: atomic { jobQueue[3] && MAY_RECEIVE -> receive(jobQueue[3]); s = 3; busy[me] = true }; goto to_plan
        :: atomic { (taskQueue[1] & 2) && MAY_RECEIVE -> receive_dispatch(1, 1) }; goto to_claim
        :: atomic { (taskQueue[1] & 4) && MAY_RECEIVE -> receive_dispatch(2, 1) }; goto to_claim
        :: atomic { (taskQueue[1] & 8) && MAY_RECEIVE -> receive_dispatch(3, 1) }; goto to_claim
        :: atomic { (taskQueue[1] & 16) && MAY_RECEIVE -> receive_dispatch(4, 1) }; goto to_claim
        :: atomic { (taskQueue[2] & 2) && MAY_RECEIVE -> receive_dispatch(1, 2) }; goto to_claim
        :: atomic { (taskQueue[2] & 4) && MAY_RECEIVE -> receive_dispatch(2, 2) }; goto to_claim
        :: atomic { (taskQueue[2] & 8) && MAY_RECEIVE -> receive_dispatch(3, 2) }; goto to_claim
        :: atomic { (taskQueue[2] & 16) && MAY_RECEIVE -> receive_dispatch(4, 2) }; goto to_claim
        fi;

to_plan:
        /* app.claim_plan */
        atomic {
            if
            :: s == stage && (job == JobQueued || job == JobProcessing) && !planned &&
               (planFence == 0 || planLeaseOver) ->
               job = JobProcessing;
               planClaims = planClaims + 1;
               planFence = planClaims; planner = me; planLeaseOver = false;
               plan = planFence
            :: else -> s = 0; busy[me] = false; goto end_idle
            fi
        };
#ifdef SEND_BEFORE_COMMIT
        atomic { SEND_STAGE(s) };
#endif
        atomic {
            if
            :: failures > 0 ->
               /* The workflow raised: app.fail_job, which asks for no fence. */
               failures--;
               if
               :: s == stage && (job == JobQueued || job == JobProcessing) ->
                  if
                  :: planned -> failing = true
                  :: else -> end_job(JobFailed)
                  fi
               :: else
               fi;
               s = 0; plan = 0; busy[me] = false; goto end_idle
            :: failures > 0 ->
               /* The database was gone for a while: app.release_plan, and the message comes again. */
               failures--;
               if
               :: s == stage && planFence == plan -> planFence = 0; planner = 0; planLeaseOver = false
               :: else
               fi;
               s = 0; plan = 0; busy[me] = false; goto end_idle
            :: s == stage && job == JobProcessing && OWNS_PLAN(plan) ->
               plan = 0;
               if
               :: s > STAGES -> end_job(JobCompleted); s = 0; busy[me] = false; goto end_idle
               :: else -> fan_out()
               fi;
#if !defined(PIECEMEAL) && !defined(NO_OUTBOX)
               RUN_IF_BRIEF
#endif
            :: !(s == stage && job == JobProcessing && planFence == plan) ->
               s = 0; plan = 0; busy[me] = false; goto end_idle
            fi
        };
#if defined(PIECEMEAL) || defined(NO_OUTBOX)
#ifdef PIECEMEAL
        atomic { s == stage && task[TASKS - 1] == NoTask -> task[TASKS - 1] = Queued };
#else
        atomic { SEND_STAGE(s) };
#endif
        atomic { RUN_IF_BRIEF };
#endif

to_claim:
        /* app.claim_tasks reads the job in one statement and takes the rows in the next. */
        atomic {
            if
            :: s == stage && planned && !failing && job == JobProcessing -> claiming[me] = true
            :: else -> s = 0; mask = 0; busy[me] = false; goto end_idle
            fi
        };
        atomic {
            claim_tasks();
            mask = 0; claiming[me] = false;
            if
            :: held[0] || held[1] || held[2]
            :: else -> s = 0; busy[me] = false; goto end_idle
            fi
        };

        do
        :: atomic { held[0] != 0 -> report(s, 0, held[0]) }
        :: atomic { held[0] == 0 && held[1] != 0 -> report(s, 1, held[1]) }
        :: atomic { held[0] == 0 && held[1] == 0 && held[2] != 0 -> report(s, 2, held[2]) }
        :: atomic {
               held[0] == 0 && held[1] == 0 && held[2] == 0 ->
               /* app.finish_stage: the first look takes no lock. */
               if
               :: s == stage && STAGE_UNFINISHED -> s = 0; busy[me] = false; goto end_idle
               :: else -> break
               fi
           }
        od;
        atomic {
            finish_stage(s);
            if
            :: moved -> s = s + 1; goto to_plan
            :: else -> s = 0; busy[me] = false; goto end_idle
            fi
        }
    } unless {
        atomic {
            kill[me] ? _ ->
            s = 0; plan = 0; mask = 0; busy[me] = false; claiming[me] = false;
            for (i : 0 .. TASKS - 1) {
                held[i] = 0;
                if
                :: owner[i] == me -> owner[i] = 0
                :: else
                fi
            };
            if
            :: planner == me -> planner = 0
            :: else
            fi
        }
    };
    goto end_idle
}

/* Whoever drains the outbox: takes what is pending, sends, marks; may die before, among or after the sending. */
#define SOME(state) \
    (outbox[0] == state || outbox[1] == state || outbox[2] == state || outbox[3] == state || outbox[4] == state)

inline send(d) {
    if
    :: d == JOB -> jobQueue[stage] = true
    :: else -> taskQueue[stage] = taskQueue[stage] | (1 << d)
    fi
}

proctype Relay() {
end_idle:
    do
    :: d_step {
           SOME(Pending) ->
           for (i : 0 .. DISPATCHES - 1) {
               if
               :: outbox[i] == Pending -> send(i); outbox[i] = Sent
               :: else
               fi
           };
           i = 0
       }
    :: atomic {
           SOME(Pending) && crashes > 0 ->
           crashes--;
           for (i : 0 .. DISPATCHES - 1) {
               if
               :: outbox[i] == Pending -> outbox[i] = Held
               :: outbox[i] == Pending -> outbox[i] = Held; send(i)
               :: outbox[i] != Pending
               fi
           };
           i = 0
       }
    od
}

/* Leases and holds end: of the dead together at some time, of the living as often as they stall. */
#define ORPHAN(t) (task[t] == Running && owner[t] == 0 && !leaseOver[t])

inline stall(t) {
    stalls > 0 && task[t] == Running && owner[t] != 0 && !leaseOver[t] ->
    stalls--;
    leaseOver[t] = true
}

proctype Time() {
end_of_time:
    do
#ifndef NO_LEASES
    :: d_step {
           ORPHAN(0) || ORPHAN(1) || ORPHAN(2) ->
           for (i : 0 .. TASKS - 1) { leaseOver[i] = leaseOver[i] || ORPHAN(i) };
           i = 0
       }
#endif
    :: atomic { stall(0) }
    :: atomic { stall(1) }
    :: atomic { stall(2) }
    :: atomic { planFence && !planLeaseOver && planner == 0 -> planLeaseOver = true }
    :: atomic { planFence && !planLeaseOver && planner != 0 && stalls > 0 -> stalls--; planLeaseOver = true }
    :: d_step {
           SOME(Held) ->
           for (i : 0 .. DISPATCHES - 1) { outbox[i] = (outbox[i] == Held -> Pending : outbox[i]) };
           i = 0
       }
    od
}

/* app.reconcile_leases. What raced with a cancellation or a failure may queue the task once more. */
#define LOST(t) (task[t] == Running && leaseOver[t])

proctype ReconcileLeases() {
end_idle:
    do
    :: atomic {
           LOST(0) || LOST(1) || LOST(2) ->
           for (i : 0 .. TASKS - 1) {
               if
               :: LOST(i) ->
                  owner[i] = 0; leaseOver[i] = false;
                  if
                  :: task[i] = Queued; outbox[ONE(i)] = Pending
                  :: failures > 0 && job == JobProcessing -> failures--; task[i] = Failed; failing = true
                  :: failing -> task[i] = Failed
                  :: job == JobCancelling -> task[i] = Cancelled
                  fi
               :: else
               fi
           };
           i = 0
       }
    od
}

/* app.reconcile_plans */
proctype ReconcilePlans() {
end_idle:
    do
    :: atomic { planFence && planLeaseOver && (job == JobQueued || job == JobProcessing) ->
                planFence = 0; planner = 0; planLeaseOver = false;
                outbox[JOB] = Pending }
    od
}

/* app.stalled_stages: sweep what takes no more claims, advance what nobody advanced. */
proctype ReconcileStages() {
end_idle:
    do
#ifdef NO_STAGE_RULE
    :: false
#else
    :: atomic { (job == JobProcessing || job == JobCancelling) && planned && STAGE_HAS(Queued) &&
                (failing || job == JobCancelling) ->
                for (i : 0 .. TASKS - 1) {
                    if
                    :: task[i] == Queued -> task[i] = Cancelled
                    :: else
                    fi
                } }
    :: atomic { (job == JobProcessing || job == JobCancelling) && !STAGE_UNFINISHED &&
                (planned || job == JobCancelling) ->
                finish_stage(stage) }
#endif
    od
}

/* app.reconcile_dispatches: what was sent and lies in no queue any more is sent again, where it is needed. */
#define OVERDUE(d) (outbox[d] == Sent && !(taskQueue[stage] & (1 << d)))

proctype ReconcileDispatches() {
end_idle:
    do
#ifdef NO_REDELIVERY
    :: false
#else
    :: atomic { outbox[JOB] == Sent && !jobQueue[stage] ->
                outbox[JOB] = ((job == JobQueued || job == JobProcessing) && !planned -> Pending : Absent) }
    :: d_step {
           OVERDUE(1) || OVERDUE(2) || OVERDUE(3) || OVERDUE(4) ->
           for (i : 1 .. DISPATCHES - 1) {
               if
               :: OVERDUE(i) -> outbox[i] = (job == JobProcessing && !failing && NEEDED(i) -> Pending : Absent)
               :: else
               fi
           };
           i = 0
       }
#endif
    od
}

#if THEFTS
/* app.reconcile_undispatched: mends what was deleted by other hands. The protocol does without it. */
proctype ReconcileUndispatched() {
end_idle:
    do
    :: atomic { (job == JobQueued || job == JobProcessing) && !failing &&
                outbox[0] == Absent && outbox[1] == Absent && outbox[2] == Absent &&
                outbox[3] == Absent && outbox[4] == Absent &&
                (!planned || STAGE_HAS(Queued)) ->
                if
                :: !planned -> outbox[JOB] = Pending
                :: else ->
                   for (i : 0 .. TASKS - 1) {
                       if
                       :: task[i] == Queued -> outbox[ONE(i)] = Pending
                       :: else
                       fi
                   }
                fi }
    od
}
#endif

/* What may go wrong, and the person who cancels. May stop at any time, so that nothing goes wrong too. */
proctype Faults() {
end_idle:
    do
    :: atomic { crashes > 0 && busy[1] -> crashes--; kill[1] ! 0 }
    :: atomic { crashes > 0 && busy[2] -> crashes--; kill[2] ! 0 }
    :: atomic { losses > 0 && jobQueue[stage] -> losses--; jobQueue[stage] = false }
    :: atomic { losses > 0 && taskQueue[stage] -> losses--; taskQueue[stage] = 0 }
    :: atomic { cancels > 0 && (job == JobQueued || job == JobProcessing) && NO_CLAIM_UNDER_WAY ->
                cancels--; job = JobCancelling }
#if THEFTS
    :: atomic { thefts > 0 && !TERMINAL -> thefts--; clear_outbox() }
#endif
#ifdef LIVENESS
    :: break
#endif
    od
}

/* app.retry_job */
inline retry_job() {
    for (i : 0 .. TASKS - 1) {
        if
        :: task[i] == Failed || task[i] == Cancelled -> task[i] = Queued; outbox[ONE(i)] = Pending
        :: else
        fi
    };
    if
    :: planned -> finishedStages = finishedStages & ~(1 << stage)
    :: else -> outbox[JOB] = Pending
    fi;
    failing = false;
    job = JobProcessing
}

/* Who submitted the job waits for its end. Not an end state: to be stuck here is an error. */
proctype Person() {
    do
    :: atomic { TERMINAL && retries > 0 && job != JobCompleted -> retries--; retry_job() }
    :: atomic { TERMINAL -> assert(!STAGE_UNFINISHED); finished = true; break }
    od
}

init {
    atomic {
        outbox[JOB] = Pending;
        run Worker(1);
        run Worker(2);
        run Relay();
        run Time();
        run ReconcileLeases();
        run ReconcilePlans();
        run ReconcileStages();
        run ReconcileDispatches();
#if THEFTS
        run ReconcileUndispatched();
#endif
        run Faults();
        run Person()
    }
}
