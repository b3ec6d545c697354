//! The state of a call while its jobs are created, one after the other.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use longhaul::lifecycle::unique::{self, Clash, Hold, Holder};
use longhaul::{EnqueueStatus, Enqueued, Error, Idempotency, JobId, NewJob, State, Timestamp, lifecycle};

use crate::ancestors::Ancestors;
use crate::bounds::Room;
use crate::new_dependencies::{DependsOn, NewDependencies};
use crate::new_rows::{JOBS_PER_STATEMENT, duplicate};
use crate::target::Target;

/// The jobs of a call, and the names in them, as of the job that is being created.
pub(crate) struct Creation<'j> {
    pub(crate) jobs: &'j [NewJob],
    pub(crate) ids: &'j [JobId],
    /// Idempotency key -> its job, and the digest of the request.
    pub(crate) promises: HashMap<&'j str, (JobId, &'j str)>,
    /// Ids that are taken.
    pub(crate) taken: HashSet<&'j str>,
    /// Unique key -> the job that holds it.
    pub(crate) holders: HashMap<&'j str, Held>,
    /// The room under the bounds on waiting jobs.
    pub(crate) room: Room,
    /// The ancestors of the call's jobs, and those of the jobs that it has created.
    pub(crate) ancestors: Ancestors,
    /// Id -> job that counts children.
    pub(crate) batches: HashMap<&'j str, i64>,
    pub(crate) dependencies: NewDependencies,
    pub(crate) answers: Vec<Enqueued>,
    /// Jobs that are not written yet.
    pub(crate) unwritten: Vec<Unwritten>,
    /// Names that cannot be decided on before these jobs are written: unique keys of jobs whose id another transaction
    /// may be using at this moment, and ids of closing jobs.
    pub(crate) uncertain_keys: HashSet<&'j str>,
    pub(crate) closing: HashSet<&'j str>,
    /// Jobs whose idempotency keys are to be remembered.
    pub(crate) promised: Vec<usize>,
}

/// The holder of a unique key.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    /// A job of this call, which is not read again unless it is changed.
    New { number: usize, state: State, run_at: Timestamp, hold: Hold },
    /// A job of the table, also one of this call once it is written and read.
    Stored(Box<Target>),
}

/// A job that is to be written.
pub(crate) struct Unwritten {
    pub(crate) number: usize,
    /// The former holder of its unique key.
    pub(crate) before: Option<Held>,
    pub(crate) created_as: CreatedAs,
    /// The hold of its unique key, if it has one.
    pub(crate) hold: Hold,
    pub(crate) depends_on: DependsOn,
}

/// The state in which a job is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreatedAs {
    /// It waits, and holds its key.
    Created,
    /// The same, and the former holder of its key is cancelled or asked to stop.
    Supersedes,
    /// It is cancelled at once, because a bound is full, and holds no key.
    Dropped,
    /// It is cancelled at once, because a dependency has failed, and holds its key as a cancelled job does.
    Fails,
}

impl CreatedAs {
    /// True if it takes the unique key from its former holder. A job that follows and fails at once has given the key
    /// back.
    pub(crate) fn takes_key(self, hold: &Hold) -> bool {
        match self {
            Self::Created | Self::Supersedes => true,
            Self::Dropped => false,
            Self::Fails => hold.behind.is_none(),
        }
    }
}

impl Held {
    pub(crate) fn id(&self, ids: &[JobId]) -> JobId {
        match self {
            Self::New { number, .. } => ids[*number].clone(),
            Self::Stored(target) => target.id.clone(),
        }
    }

    /// The job as the rules look at it.
    pub(crate) fn as_holder<'h>(&'h self, jobs: &'h [NewJob], now: Timestamp) -> Holder<'h> {
        match self {
            Self::New { number, state, run_at, hold } => Holder {
                kind: &jobs[*number].kind,
                state: *state,
                run_at: *run_at,
                created_at: now,
                started_at: None,
                held_until: hold.until,
            },
            Self::Stored(target) => target.as_holder(),
        }
    }
}

impl<'j> Creation<'j> {
    pub(crate) fn new(
        jobs: &'j [NewJob],
        ids: &'j [JobId],
        promises: HashMap<&'j str, (JobId, &'j str)>,
        room: Room,
    ) -> Self {
        Self {
            jobs,
            ids,
            promises,
            taken: HashSet::new(),
            holders: HashMap::new(),
            room,
            ancestors: Ancestors::default(),
            batches: HashMap::new(),
            dependencies: NewDependencies::default(),
            answers: Vec::with_capacity(jobs.len()),
            unwritten: Vec::new(),
            uncertain_keys: HashSet::new(),
            closing: HashSet::new(),
            promised: Vec::new(),
        }
    }

    /// The answer where an idempotency key was used for another request, by an earlier call or by a job before in this one.
    pub(crate) fn refused(&self) -> Option<Vec<Enqueued>> {
        let mut used = self.promises.clone();
        let mut is_refused = false;
        let answer = |(job, id): (&'j NewJob, &'j JobId)| {
            let mut answer = Enqueued::new(id.clone(), EnqueueStatus::NotCreated);
            if let Some(key) = &job.idempotency {
                let (holder, digest) =
                    used.entry(&key.key).or_insert_with(|| (id.clone(), key.fingerprint.as_str()));
                if *digest != key.fingerprint {
                    answer = Enqueued::new(holder.clone(), EnqueueStatus::KeyReused);
                    is_refused = true;
                }
            }
            answer
        };
        let answers = self.jobs.iter().zip(self.ids).map(answer).collect();
        is_refused.then_some(answers)
    }

    /// The refusal of a job that depends on one that is not there, or on an unfinished ancestor.
    pub(crate) fn refused_dependency(&self) -> Option<Error> {
        let state_of = |id: &JobId| Ok(self.dependencies.stored_state(id));
        let parent_of = |id: &JobId| Ok(self.ancestors.parent_of(id));
        let is_promised = |key: &Idempotency| Ok(self.promises.contains_key(key.key.as_str()));
        let Ok(refused) =
            lifecycle::refused_dependency::<Infallible>(self.jobs, state_of, parent_of, is_promised);
        refused
    }

    pub(crate) fn must_write_before(&self, job: &NewJob) -> bool {
        let waits_for_key =
            job.unique.as_ref().is_some_and(|unique| self.uncertain_keys.contains(&*unique.key));
        let waits_for_parent =
            job.parent.as_ref().is_some_and(|parent| self.closing.contains(parent.as_str()));
        let is_made_room =
            !self.room.is_free() && self.unwritten.iter().any(|job| job.created_as == CreatedAs::Supersedes);
        let belongs_to =
            |id: &JobId| job.parent.as_ref() == Some(id) || job.depends_on.iter().any(|on| on.id == *id);
        let belongs_to_superseded = self.unwritten.iter().any(|job| match &job.before {
            Some(Held::Stored(holder)) => job.created_as == CreatedAs::Supersedes && belongs_to(&holder.id),
            _ => false,
        });
        belongs_to_superseded
            || waits_for_key
            || waits_for_parent
            || is_made_room
            || self.unwritten.len() >= JOBS_PER_STATEMENT
    }

    /// The effect of a job's unique key; `None` if no job holds it.
    pub(crate) fn clash(&self, number: usize, now: Timestamp) -> Option<Clash> {
        let job = &self.jobs[number];
        let unique = job.unique.as_ref()?;
        let holder = self.holders.get(&*unique.key)?;
        let clash = unique::clash(job, unique, &holder.as_holder(self.jobs, now), now);
        let is_ancestor = || {
            let holder = holder.id(self.ids);
            let parent_of = |id: &JobId| Ok(self.ancestors.parent_of(id));
            let Ok(found) = lifecycle::nearest_ancestor::<Infallible>(job, |id| *id == holder, parent_of);
            found.is_some()
        };
        Some(if clash == Clash::Follow && is_ancestor() { Clash::Reject } else { clash })
    }

    /// The job that a new one follows, which holds its key.
    pub(crate) fn followed(&self, number: usize, now: Timestamp) -> Option<Target> {
        let unique = self.jobs[number].unique.as_ref()?;
        match self.holders.get(&*unique.key)? {
            Held::Stored(holder) if self.clash(number, now)? == Clash::Follow => Some((**holder).clone()),
            _ => None,
        }
    }

    /// True where a job that is not written yet depends on others.
    pub(crate) fn has_unwritten_dependants(&self) -> bool {
        self.unwritten.iter().any(|job| !job.depends_on.all.is_empty())
    }

    /// The holder of a job's unique key, where it is superseded before the job is written: it is the job's parent or one that it depends
    /// on, or the job is cancelled at once for another dependency, and supersedes the holder all the same.
    pub(crate) fn holder_to_supersede_first(&self, job: &NewJob, depends_on: &DependsOn) -> Option<Target> {
        let Some(Held::Stored(holder)) = self.holders.get(&*job.unique.as_ref()?.key) else { return None };
        let belongs = job.parent.as_ref() == Some(&holder.id) || depends_on.contains(&holder.id);
        (belongs || depends_on.standing.has_failed).then(|| (**holder).clone())
    }

    /// Notes that a holder was superseded.
    pub(crate) fn superseded(&mut self, holder: &Target, now: Timestamp) {
        self.room.left(holder);
        if !matches!(holder.state, State::Running) {
            self.note_cancelled(&[holder.seq], now);
        }
    }

    /// The number of the job that holds a key, where it is written.
    pub(crate) fn seq_of(&self, held: &Held) -> Option<i64> {
        match held {
            Held::Stored(target) => Some(target.seq),
            Held::New { number, .. } => self.dependencies.seq_of(&self.ids[*number]),
        }
    }

    /// Notes jobs that were cancelled, most of which hold their keys no longer.
    pub(crate) fn note_cancelled(&mut self, cancelled: &[i64], now: Timestamp) {
        if cancelled.is_empty() {
            return;
        }
        self.dependencies.note_cancelled(cancelled);
        self.batches.retain(|_, parent| !cancelled.contains(parent));
        self.holders.retain(|_, held| match held {
            Held::Stored(target) if cancelled.contains(&target.seq) => {
                target.state = State::Cancelled;
                target.hold.after(State::Cancelled, now).is_some()
            }
            _ => true,
        });
    }

    /// Another job has the id: the one that was to be written is a duplicate, and takes no key.
    pub(crate) fn found_taken(
        &mut self,
        number: usize,
        before: Option<Held>,
        created_as: CreatedAs,
        hold: &Hold,
    ) {
        self.answers[number] = duplicate(self.ids[number].clone());
        let job = &self.jobs[number];
        if created_as != CreatedAs::Dropped {
            self.room.was_there(job);
        }
        if let Some(unique) = job.unique.as_ref().filter(|_| created_as.takes_key(hold)) {
            match before {
                Some(holder) => self.holders.insert(&unique.key, holder),
                None => self.holders.remove(&*unique.key),
            };
        }
    }

    pub(crate) fn batch_of(&self, job: &NewJob) -> Option<i64> {
        self.batches.get(job.parent.as_ref()?.as_str()).copied()
    }
}
