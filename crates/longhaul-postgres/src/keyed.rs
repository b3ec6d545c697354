//! Jobs of which something has to be looked up before they are created: keys, parents, ids beside a key. They are created in
//! the order in which they came, and as many as possible by one statement.

use std::collections::{BTreeMap, HashMap, HashSet};

use longhaul::{EnqueueStatus, Enqueued, JobId, NewJob, OnClash, Result, Start, State};

use crate::new_rows::{JOBS_PER_STATEMENT, NewRows, duplicate, id_of};
use crate::write_tx::WriteTx;

/// The consequence of an idempotency key that was used for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyReused {
    /// None of the call's jobs is created.
    RefusesAll,
    /// Its own job is not created.
    RefusesOne,
}

/// The jobs of a call, and what is known of the names in them, as of the job that is looked at.
struct Creation<'j> {
    jobs: &'j [NewJob],
    ids: &'j [JobId],
    /// Idempotency key -> the job that it stands for, and the digest of the request.
    promises: HashMap<&'j str, (JobId, &'j str)>,
    /// Ids that are known to be taken.
    taken: HashSet<&'j str>,
    /// Unique key -> the job that holds it.
    holders: HashMap<&'j str, (JobId, State)>,
    /// Id -> closing job that waits for its children.
    batches: HashMap<&'j str, i64>,
    answers: Vec<Enqueued>,
    /// Jobs that are not written yet, each with whoever held its key before.
    unwritten: Vec<(usize, Option<(JobId, State)>)>,
    /// Names that are not known before these are written: unique keys of jobs whose id another transaction may be giving to a
    /// job of its own, and ids of closing jobs.
    uncertain_keys: HashSet<&'j str>,
    closing: HashSet<&'j str>,
    /// Jobs whose idempotency keys are to be remembered.
    promised: Vec<usize>,
}

impl WriteTx<'_> {
    /// Creates jobs, while more children may come before a closing job without any is let go. Their keys are locked already.
    pub(crate) async fn enqueue_without_freeing(
        &mut self,
        jobs: &[NewJob],
        reused: KeyReused,
    ) -> Result<Vec<Enqueued>> {
        let ids: Vec<JobId> = jobs.iter().map(id_of).collect();
        let stored = self.promises(jobs).await?;
        let promises = stored.iter().map(|(key, (id, digest))| (key.as_str(), (id.clone(), digest.as_str())));
        let mut creation = Creation::new(jobs, &ids, promises.collect());
        if reused == KeyReused::RefusesAll
            && let Some(refused) = creation.refused()
        {
            return Ok(refused);
        }
        let taken = self.taken(jobs).await?;
        creation.taken = taken.iter().map(String::as_str).collect();
        let holders = self.holders(jobs).await?;
        creation.holders.extend(holders.iter().map(|(key, holder)| (key.as_str(), holder.clone())));
        let batches = self.open_batches(jobs).await?;
        creation.batches.extend(batches.iter().map(|(id, batch)| (id.as_str(), *batch)));
        for (number, job) in jobs.iter().enumerate() {
            if creation.must_write_before(job) {
                self.write(&mut creation).await?;
            }
            creation.add(number);
        }
        self.write(&mut creation).await?;
        self.hold_idempotency_keys(&creation).await?;
        Ok(creation.answers)
    }

    /// Writes the rows of jobs that are to be created, gives them their keys, and counts them among their parents' children.
    async fn write(&mut self, creation: &mut Creation<'_>) -> Result<()> {
        let unwritten = std::mem::take(&mut creation.unwritten);
        creation.uncertain_keys.clear();
        creation.closing.clear();
        if unwritten.is_empty() {
            return Ok(());
        }
        let (jobs, ids) = (creation.jobs, creation.ids);
        let mut rows = NewRows::default();
        for (number, _) in &unwritten {
            let batch = creation.batch_of(&jobs[*number]);
            rows.push(&ids[*number], &jobs[*number], batch, self.time)?;
        }
        let mut created = self.insert(rows).await?;
        let (mut keys, mut holders, mut joined) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (number, holder) in unwritten {
            let (job, id) = (&jobs[number], &ids[number]);
            let Some(seq) = created.remove(id.as_str()) else {
                creation.found_taken(number, holder);
                continue;
            };
            if let Some(unique) = &job.unique {
                keys.push(unique.key.as_str());
                holders.push(seq);
            }
            if let Some(batch) = creation.batch_of(job) {
                *joined.entry(batch).or_default() += 1;
            }
            if job.start == Start::AfterChildren {
                self.new_batches.push(seq);
                creation.batches.insert(id.as_str(), seq);
            }
        }
        self.hold_unique_keys(&keys, &holders).await?;
        for (batch, children) in joined {
            self.count_children(batch, children).await?;
        }
        Ok(())
    }

    /// The jobs that idempotency keys stand for, and the digests of the requests.
    async fn promises(&self, jobs: &[NewJob]) -> Result<HashMap<String, (JobId, String)>> {
        let keys: Vec<&str> =
            jobs.iter().filter_map(|job| Some(job.idempotency.as_ref()?.key.as_str())).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = include_str!("sql/idempotency_holders.sql");
        let rows = self.rows("look up an idempotency key", sql, &[&keys, &self.now.0]).await?;
        let holder = |row: &tokio_postgres::Row| (row.get(0), (JobId::from_store(row.get(1)), row.get(2)));
        Ok(rows.iter().map(holder).collect())
    }

    /// Remembers how requests were answered.
    async fn hold_idempotency_keys(&self, creation: &Creation<'_>) -> Result<()> {
        let (mut keys, mut ids, mut digests, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for number in &creation.promised {
            let Some(key) = &creation.jobs[*number].idempotency else { continue };
            keys.push(key.key.as_str());
            ids.push(creation.answers[*number].id.as_str());
            digests.push(key.fingerprint.as_str());
            ends.push(self.time.plus(key.keep_for).0);
        }
        if keys.is_empty() {
            return Ok(());
        }
        let sql = include_str!("sql/hold_idempotency_keys.sql");
        self.rows("hold an idempotency key", sql, &[&keys, &ids, &digests, &ends]).await.map(drop)
    }

    /// The ids among those of jobs with unique keys that are taken: the id goes before the key, so that a job of that very id
    /// is a duplicate, whoever holds the key. Of others the statement that writes them finds it out.
    async fn taken(&self, jobs: &[NewJob]) -> Result<Vec<String>> {
        let keyed = jobs.iter().filter(|job| job.unique.is_some());
        let ids: Vec<&str> = keyed.filter_map(|job| Some(job.id.as_ref()?.as_str())).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows("look a job up", include_str!("sql/present_jobs.sql"), &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn holders(&self, jobs: &[NewJob]) -> Result<HashMap<String, (JobId, State)>> {
        let keys: Vec<&str> = jobs.iter().filter_map(|job| Some(job.unique.as_ref()?.key.as_str())).collect();
        let holders = self.unique_holders(&keys).await?;
        Ok(holders.into_iter().map(|(key, holder)| (key, (holder.id, holder.state))).collect())
    }
}

impl<'j> Creation<'j> {
    fn new(jobs: &'j [NewJob], ids: &'j [JobId], promises: HashMap<&'j str, (JobId, &'j str)>) -> Self {
        Self {
            jobs,
            ids,
            promises,
            taken: HashSet::new(),
            holders: HashMap::new(),
            batches: HashMap::new(),
            answers: Vec::with_capacity(jobs.len()),
            unwritten: Vec::new(),
            uncertain_keys: HashSet::new(),
            closing: HashSet::new(),
            promised: Vec::new(),
        }
    }

    /// The answer where an idempotency key was used for another request, by an earlier call or by a job before in this one.
    fn refused(&self) -> Option<Vec<Enqueued>> {
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

    fn must_write_before(&self, job: &NewJob) -> bool {
        let waits_for_key =
            job.unique.as_ref().is_some_and(|unique| self.uncertain_keys.contains(&*unique.key));
        let waits_for_parent =
            job.parent.as_ref().is_some_and(|parent| self.closing.contains(parent.as_str()));
        waits_for_key || waits_for_parent || self.unwritten.len() >= JOBS_PER_STATEMENT
    }

    /// Answers the next job, and notes that it is to be written where nothing stands for it.
    fn add(&mut self, number: usize) {
        let (job, id) = (&self.jobs[number], &self.ids[number]);
        if let Some(key) = &job.idempotency
            && let Some((first, digest)) = self.promises.get(key.key.as_str())
        {
            let status = match *digest == key.fingerprint {
                true => EnqueueStatus::Duplicate,
                false => EnqueueStatus::KeyReused,
            };
            self.answers.push(Enqueued::new(first.clone(), status));
            return;
        }
        let answer = match self.stands_for(job, id) {
            Some(other) => duplicate(other),
            None => {
                self.taken.insert(id.as_str());
                let mut holder = None;
                if let Some(unique) = &job.unique {
                    holder = self.holders.insert(&unique.key, (id.clone(), State::Available));
                    if job.id.is_some() {
                        self.uncertain_keys.insert(&unique.key);
                    }
                }
                if job.start == Start::AfterChildren {
                    self.closing.insert(id.as_str());
                }
                self.unwritten.push((number, holder));
                Enqueued::new(id.clone(), EnqueueStatus::Created)
            }
        };
        if let Some(key) = &job.idempotency {
            // Whatever the first request is answered with, a repetition is too: a job that was there before as well.
            self.promises.insert(&key.key, (answer.id.clone(), &key.fingerprint));
            self.promised.push(number);
        }
        self.answers.push(answer);
    }

    /// The job that stands for one that is not to be created: itself, where it exists, or the holder of its unique key.
    fn stands_for(&self, job: &NewJob, id: &JobId) -> Option<JobId> {
        if self.taken.contains(id.as_str()) {
            return Some(id.clone());
        }
        let unique = job.unique.as_ref()?;
        let (holder, state) = self.holders.get(&*unique.key)?;
        match unique.on_clash {
            OnClash::Refresh if state.is_finished() => None,
            _ => Some(holder.clone()),
        }
    }

    /// Another job has the id: the one that was to be written is a duplicate, and takes no key.
    fn found_taken(&mut self, number: usize, holder: Option<(JobId, State)>) {
        self.answers[number] = duplicate(self.ids[number].clone());
        if let Some(unique) = &self.jobs[number].unique {
            match holder {
                Some(holder) => self.holders.insert(&unique.key, holder),
                None => self.holders.remove(&*unique.key),
            };
        }
    }

    fn batch_of(&self, job: &NewJob) -> Option<i64> {
        self.batches.get(job.parent.as_ref()?.as_str()).copied()
    }
}
