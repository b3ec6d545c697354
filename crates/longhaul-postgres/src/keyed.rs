//! Jobs of which something has to be looked up before they are created: keys, parents, ids beside a key. They are created in
//! the order in which they came, and as many as possible by one statement.

use std::collections::{BTreeMap, HashMap};

use longhaul::lifecycle::unique::{self, Clash, Hold};
use longhaul::lifecycle::waiting::{self, Admission};
use longhaul::{CancelReason, EnqueueStatus, Enqueued, JobId, NewJob, Result, STOP_GRACE, Start, State};

use crate::bounds::Room;
use crate::creation::{CreatedAs, Creation, Held, Unwritten};
use crate::error::key_locked;
use crate::new_dependencies::Edges;
use crate::new_rows::{NewRows, duplicate, id_of};
use crate::row::hold_text;
use crate::target::Target;
use crate::write_tx::WriteTx;

/// The consequence of an idempotency key that was used for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyReused {
    /// None of the call's jobs is created.
    RefusesAll,
    /// Its own job is not created.
    RefusesOne,
}

impl WriteTx<'_> {
    /// Creates jobs, while more children may come before a closing job without any is let go. Their keys are locked already.
    pub(crate) async fn enqueue_without_freeing(
        &mut self,
        jobs: &[NewJob],
        reused: KeyReused,
        room: Room,
    ) -> Result<Result<Vec<Enqueued>>> {
        let ids: Vec<JobId> = jobs.iter().map(id_of).collect();
        let stored = self.promises(jobs).await?;
        let promises = stored.iter().map(|(key, (id, digest))| (key.as_str(), (id.clone(), digest.as_str())));
        let mut creation = Creation::new(jobs, &ids, promises.collect(), room);
        if reused == KeyReused::RefusesAll
            && let Some(refused) = creation.refused()
        {
            return Ok(Ok(refused));
        }
        creation.dependencies = self.new_dependencies(jobs).await?;
        creation.ancestors = self.ancestors(jobs).await?;
        if reused == KeyReused::RefusesAll
            && let Some(refused) = creation.refused_dependency()
        {
            return Ok(Err(refused));
        }
        let taken = self.taken(jobs, &creation.room).await?;
        creation.taken = taken.iter().map(String::as_str).collect();
        let given = jobs.iter().filter_map(|job| job.id.as_ref());
        let stored = given.filter(|id| creation.dependencies.is_stored(id)).map(JobId::as_str);
        creation.taken.extend(stored);
        let holders = self.holders(jobs).await?;
        let stored = |holder: &Target| Held::Stored(Box::new(holder.clone()));
        creation.holders.extend(holders.iter().map(|(key, holder)| (key.as_str(), stored(holder))));
        let batches = self.parents_that_count(jobs).await?;
        creation.batches.extend(batches.iter().map(|(id, batch)| (id.as_str(), *batch)));
        for (number, job) in jobs.iter().enumerate() {
            if creation.must_write_before(job) {
                self.write(&mut creation).await?;
            }
            self.add(&mut creation, number).await?;
        }
        self.write(&mut creation).await?;
        self.hold_idempotency_keys(&creation).await?;
        Ok(Ok(creation.answers))
    }

    /// Answers the next job, and notes that it is to be written where nothing stands for it.
    async fn add<'j>(&mut self, creation: &mut Creation<'j>, number: usize) -> Result<()> {
        let answer = self.answer(creation, number).await?;
        if answer.status == EnqueueStatus::Duplicate {
            self.stand_in(&mut creation.dependencies, &creation.ids[number], &answer.id).await?;
        }
        creation.answers.push(answer);
        Ok(())
    }

    async fn answer<'j>(&mut self, creation: &mut Creation<'j>, number: usize) -> Result<Enqueued> {
        let (jobs, ids) = (creation.jobs, creation.ids);
        let (job, id) = (&jobs[number], &ids[number]);
        if let Some(key) = &job.idempotency
            && let Some((first, digest)) = creation.promises.get(key.key.as_str())
        {
            let status = match *digest == key.fingerprint {
                true => EnqueueStatus::Duplicate,
                false => EnqueueStatus::KeyReused,
            };
            return Ok(Enqueued::new(first.clone(), status));
        }
        let answer = match creation.taken.contains(id.as_str()) {
            true => duplicate(id.clone()),
            false => match self.meet_holder(creation, number).await? {
                Some(answer) => answer,
                None => self.admit(creation, number).await?,
            },
        };
        // A request that was refused may be made again, and then be granted.
        let is_refused = matches!(answer.status, EnqueueStatus::Rejected | EnqueueStatus::Full);
        if let Some(key) = job.idempotency.as_ref().filter(|_| !is_refused) {
            // Whatever the first request is answered with, a repetition is too: a job that was there before as well.
            creation.promises.insert(&key.key, (answer.id.clone(), &key.fingerprint));
            creation.promised.push(number);
        }
        Ok(answer)
    }

    /// Does what comes of a job whose unique key is held, and answers it; `None` where it is to be created.
    async fn meet_holder<'j>(
        &mut self,
        creation: &mut Creation<'j>,
        number: usize,
    ) -> Result<Option<Enqueued>> {
        let jobs = creation.jobs;
        let job = &jobs[number];
        let Some(unique) = &job.unique else { return Ok(None) };
        let Some(mut clash) = creation.clash(number, self.time.latest) else { return Ok(None) };
        if changes_holder(clash) && matches!(creation.holders.get(&*unique.key), Some(Held::New { .. })) {
            self.write(creation).await?;
            self.look_holder_up(creation, job).await?;
            match creation.clash(number, self.time.latest) {
                Some(anew) => clash = anew,
                None => return Ok(None),
            }
        }
        let Some(held) = creation.holders.get_mut(&*unique.key) else { return Ok(None) };
        let id = held.id(creation.ids);
        let status = match (clash, held) {
            (Clash::Take | Clash::Supersede | Clash::Follow, _) => return Ok(None),
            (Clash::Reject, _) => EnqueueStatus::Rejected,
            (Clash::Replace(state, run_at), Held::Stored(target)) => {
                self.replace(target, job, state, run_at).await?;
                creation.room.forget_oldest();
                EnqueueStatus::Replaced
            }
            (Clash::Lengthen(until), Held::Stored(target)) => {
                target.hold.until = Some(until);
                let hold = hold_text(&target.hold)?;
                let sql = include_str!("sql/set_hold.sql");
                self.rows("hold a unique key", sql, &[&target.seq, &hold]).await?;
                self.hold_until(&unique.key, target.seq, until).await?;
                EnqueueStatus::Duplicate
            }
            (Clash::Join | Clash::Replace(..) | Clash::Lengthen(_), _) => EnqueueStatus::Duplicate,
        };
        Ok(Some(Enqueued::new(id, status)))
    }

    /// Reads anew who holds the unique key of a job: what was to be written is.
    async fn look_holder_up<'j>(&self, creation: &mut Creation<'j>, job: &'j NewJob) -> Result<()> {
        let Some(unique) = &job.unique else { return Ok(()) };
        match self.unique_holders(&[&unique.key]).await?.remove(&unique.key) {
            Some(holder) => creation.holders.insert(&unique.key, Held::Stored(Box::new(holder))),
            None => creation.holders.remove(&*unique.key),
        };
        Ok(())
    }

    /// Notes that a job is to be written, where there is room for it.
    async fn admit<'j>(&mut self, creation: &mut Creation<'j>, number: usize) -> Result<Enqueued> {
        let (jobs, ids) = (creation.jobs, creation.ids);
        let (job, id) = (&jobs[number], &ids[number]);
        let (mut state, run_at) = unique::start(job, self.time.latest);
        let followed = creation.followed(number, self.time.latest);
        let mut depends_on = creation.dependencies.of(job, followed.as_ref(), &creation.ancestors);
        let mut created_as = CreatedAs::Created;
        if !creation.room.is_free() && waiting::counts(state) && !depends_on.standing.is_waited_for() {
            match creation.room.admission(number) {
                (Admission::Reject(_), Some(full)) => return Ok(Enqueued::full(id.clone(), full)),
                (Admission::DropNewest, _) => created_as = CreatedAs::Dropped,
                (Admission::DropOldest, _) => {
                    if creation.room.must_read_oldest(number) || creation.has_unwritten_dependants() {
                        self.write(creation).await?;
                    }
                    let dropped = self.drop_oldest(&mut creation.room, number).await?;
                    creation.note_cancelled(&dropped, self.now);
                }
                _ => {}
            }
            if created_as == CreatedAs::Created {
                creation.room.came(job);
            }
        }
        if created_as == CreatedAs::Created
            && creation.clash(number, self.time.latest) == Some(Clash::Supersede)
        {
            created_as = CreatedAs::Supersedes;
            if let Some(holder) = creation.holder_to_supersede_first(job, &depends_on) {
                self.write(creation).await?;
                self.supersede(&holder).await?;
                creation.superseded(&holder, self.now);
                self.look_holder_up(creation, job).await?;
                created_as = CreatedAs::Created;
            }
        }
        if created_as != CreatedAs::Dropped && (creation.dependencies.are_needed || followed.is_some()) {
            // Some may have been dropped or superseded.
            depends_on = creation.dependencies.of(job, followed.as_ref(), &creation.ancestors);
            if depends_on.standing.has_failed {
                created_as = CreatedAs::Fails;
            } else if depends_on.standing.is_waited_for() {
                state = State::Blocked;
            }
        }
        let ends_at_once = matches!(created_as, CreatedAs::Dropped | CreatedAs::Fails);
        creation.dependencies.add(id, if ends_at_once { State::Cancelled } else { state });
        creation.ancestors.add(id, job);
        creation.taken.insert(id.as_str());
        let mut before = None;
        let hold = job.unique.as_ref().map(|unique| Hold::of(unique, self.time.latest));
        let hold = Hold { behind: followed.map(|followed| followed.id), ..hold.unwrap_or_default() };
        if let Some(unique) = job.unique.as_ref().filter(|_| created_as.takes_key(&hold)) {
            let state = if created_as == CreatedAs::Fails { State::Cancelled } else { state };
            before = match created_as {
                CreatedAs::Fails if hold.after(State::Cancelled, self.now).is_none() => {
                    creation.holders.remove(&*unique.key)
                }
                _ => {
                    let held = Held::New { number, state, run_at, hold: hold.clone() };
                    creation.holders.insert(&unique.key, held)
                }
            };
            if job.id.is_some() {
                creation.uncertain_keys.insert(&unique.key);
            }
        }
        if job.start == Start::AfterChildren && !ends_at_once {
            creation.closing.insert(id.as_str());
        }
        creation.unwritten.push(Unwritten { number, before, created_as, hold, depends_on });
        let status =
            if created_as == CreatedAs::Dropped { EnqueueStatus::Dropped } else { EnqueueStatus::Created };
        Ok(Enqueued::new(id.clone(), status))
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
        for Unwritten { number, created_as, hold, depends_on, .. } in &unwritten {
            let job = &jobs[*number];
            let batch = creation.batch_of(job);
            rows.push(&ids[*number], job, batch, self.time)?;
            if hold.behind.is_some() {
                rows.hold_last(hold)?;
            }
            if !depends_on.all.is_empty() {
                rows.depend_last(&depends_on.all)?;
            }
            match created_as {
                CreatedAs::Dropped => rows.cancel_last(CancelReason::Dropped, self.now),
                CreatedAs::Fails => {
                    let kept_from = hold.kept_from(State::Cancelled, self.now);
                    rows.cancel_last(CancelReason::Dependency, kept_from);
                }
                CreatedAs::Created | CreatedAs::Supersedes if depends_on.standing.unfinished > 0 => {
                    rows.block_last(depends_on.standing.unfinished);
                }
                CreatedAs::Created | CreatedAs::Supersedes => {}
            }
        }
        let mut created = self.insert(rows).await?;
        self.write_what_belongs_to(creation, &unwritten, &created).await?;
        let (mut keys, mut holders, mut untils) = (Vec::new(), Vec::new(), Vec::new());
        let (mut joined, mut dropped, mut left) = (BTreeMap::new(), Vec::new(), Vec::new());
        for Unwritten { number, before, created_as, hold, .. } in unwritten {
            let (job, id) = (&jobs[number], &ids[number]);
            let Some(seq) = created.remove(id.as_str()) else {
                creation.found_taken(number, before, created_as, &hold);
                continue;
            };
            if let Some(unique) = job.unique.as_ref().filter(|_| created_as.takes_key(&hold)) {
                let until = match created_as {
                    CreatedAs::Fails => hold.after(State::Cancelled, self.now),
                    _ => hold.before_end(),
                };
                if created_as != CreatedAs::Fails || until.is_some() {
                    keys.push(unique.key.as_str());
                    holders.push(seq);
                    untils.push(until.map(|until| until.0));
                } else if let Some(former) = before.as_ref().and_then(|held| creation.seq_of(held)) {
                    left.push((unique.key.as_str(), former));
                }
            }
            if let (CreatedAs::Supersedes, Some(Held::Stored(holder))) = (created_as, before) {
                self.supersede(&holder).await?;
                creation.superseded(&holder, self.now);
            }
            if let Some(batch) = creation.batch_of(job) {
                *joined.entry(batch).or_default() += 1;
                if matches!(created_as, CreatedAs::Dropped | CreatedAs::Fails) {
                    dropped.push(batch);
                }
            }
            if job.start == Start::AfterChildren && created_as != CreatedAs::Fails {
                self.new_batches.push(seq);
                creation.batches.insert(id.as_str(), seq);
            }
        }
        self.hold_unique_keys(&keys, &holders, &untils).await?;
        for (key, former) in left {
            self.let_go(key, former, &Hold::default(), State::Cancelled).await?;
        }
        for (batch, children) in joined {
            self.count_children(batch, children).await?;
        }
        dropped.into_iter().for_each(|batch| self.child_ended(Some(batch), State::Cancelled));
        Ok(())
    }

    /// Writes the steps of new jobs, and what they depend on: before anything ends that they depend on.
    async fn write_what_belongs_to(
        &self,
        creation: &mut Creation<'_>,
        unwritten: &[Unwritten],
        created: &HashMap<String, i64>,
    ) -> Result<()> {
        let (mut edges, mut with_steps) = (Edges::default(), Vec::new());
        let (mut names, mut outputs) = (Vec::new(), Vec::new());
        let written = |number: usize| created.get(creation.ids[number].as_str()).copied();
        for Unwritten { number, .. } in unwritten {
            if let Some(seq) = written(*number) {
                creation.dependencies.note_written(&creation.ids[*number], seq);
            }
        }
        for Unwritten { number, depends_on, .. } in unwritten {
            let Some(seq) = written(*number) else { continue };
            if !creation.dependencies.add_edges(seq, depends_on, &mut edges) {
                // Found out once it is tried again.
                return Err(key_locked());
            }
            for (name, output) in &creation.jobs[*number].steps {
                with_steps.push(seq);
                names.push(name.as_str());
                outputs.push(output.as_str());
            }
        }
        if !with_steps.is_empty() {
            let sql = include_str!("sql/take_over_steps.sql");
            self.rows("take steps over", sql, &[&with_steps, &names, &outputs, &self.now.0]).await?;
        }
        self.depend(&edges).await
    }

    async fn supersede(&mut self, holder: &Target) -> Result<()> {
        match holder.state {
            State::Running => self.ask_to_stop(holder, STOP_GRACE, CancelReason::Superseded).await.map(drop),
            _ => self.cancel_waiting(holder, CancelReason::Superseded).await,
        }
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

    /// The ids among those of jobs with unique keys, and of jobs that a bound may hold for, that are taken: the id goes before
    /// the key and the bound, so that a job of that very id is a duplicate in any case. Of others the statement that writes
    /// them finds it out.
    async fn taken(&self, jobs: &[NewJob], room: &Room) -> Result<Vec<String>> {
        let keyed = jobs.iter().filter(|job| job.unique.is_some() || !room.is_free());
        let ids: Vec<&str> = keyed.filter_map(|job| Some(job.id.as_ref()?.as_str())).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.rows("look a job up", include_str!("sql/present_jobs.sql"), &[&ids]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// True where something is done to the holder.
fn changes_holder(clash: Clash) -> bool {
    matches!(clash, Clash::Replace(..) | Clash::Lengthen(_) | Clash::Supersede)
}
