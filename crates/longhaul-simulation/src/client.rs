//! A simulated server: it enqueues, acts on and reads jobs for callers, and retries while the store is unreachable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{
    Clock, Enqueued, Event, EventBody, FromStep, JobFilter, JobId, KeyFilter, Longhaul, Lookup, NewJob, Page,
    Result,
};
use parking_lot::Mutex;

use crate::jobs::is_kept;
use crate::run::Put;
use crate::scenario::Step;
use crate::witness::{EVENTS, Witness};
use crate::world::World;

/// A server's handle on the store.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) clock: Clock,
    pub(crate) longhaul: Longhaul,
    pub(crate) schedules: Arc<Mutex<BTreeMap<String, Put>>>,
}

/// The tries of a call before its caller gets an error.
const TRIES: u32 = 5;
/// The time that a reader waits in one call.
const READ_FOR: Duration = Duration::from_secs(5);

impl Client {
    /// Does a step, and retries while the store is unreachable. A step that fails in the end is not acknowledged.
    pub(crate) async fn serve(self, step: Step) {
        let mut tries = 0;
        loop {
            match self.serve_once(&step).await {
                Err(error) if error.is_outage() && tries < TRIES => {
                    tries += 1;
                    self.clock.sleep(Duration::from_millis(300)).await;
                }
                Err(error) => return self.world.note("s", format_args!("gives up: {error}")),
                Ok(Some(read)) => return self.read(&read).await,
                Ok(None) => return,
            }
        }
    }

    /// Answers the job that is to be read, where one is.
    async fn serve_once(&self, step: &Step) -> Result<Option<JobId>> {
        let store = self.longhaul.store();
        match step {
            Step::Enqueue { jobs, is_read } => {
                let created = self.enqueue(jobs).await?;
                return Ok(created.filter(|_| *is_read));
            }
            Step::Act(filter, action) => drop(store.act(filter, action.clone(), 10).await?),
            Step::Cancel(id) => drop(self.longhaul.cancel(id).await?),
            Step::Signal(id, name, value) => drop(self.longhaul.signal(id, name, value).await?),
            Step::RetryFrom(id, step) => drop(self.longhaul.retry_from(id, step, None).await?),
            Step::Fork(id, step) => {
                if let FromStep::Done(fork) = self.longhaul.fork(id, step.as_deref(), None).await?
                    && is_kept(&fork)
                {
                    self.witness.acknowledge(&fork.id);
                    self.witness.count("forks");
                }
            }
            Step::PauseQueue(queue) => store.pause_queue(queue).await?,
            Step::ResumeQueue(queue) => store.resume_queue(queue).await?,
            Step::SetQueue(queue, config) => store.set_queue(queue, config).await?,
            Step::SetKey(key, config) => store.set_key(key, config.as_ref()).await?,
            Step::PauseKey(key, pause) => store.pause_key(key, *pause).await?,
            Step::ResumeKey(key) => store.resume_key(key).await?,
            Step::PutSchedule(schedule) => {
                self.schedules().put((**schedule).clone()).await?;
                let (schedule, since) = ((**schedule).clone(), self.clock.now());
                let put = Put { schedule, since, is_whole: true };
                self.schedules.lock().entry(put.schedule.name.clone()).or_insert(put);
            }
            Step::PauseSchedule(name) => {
                self.note_pause(name);
                self.schedules().pause(name).await?;
            }
            Step::ResumeSchedule(name) => {
                self.note_pause(name);
                self.schedules().resume(name).await?;
            }
            Step::RunSchedule(name) => {
                if let Some(enqueued) = self.schedules().run(name).await?.filter(is_kept) {
                    self.witness.acknowledge(&enqueued.id);
                }
            }
            Step::Look => self.look().await?,
            // Faults of processes and clocks are not injected by a server.
            _ => {}
        }
        Ok(None)
    }

    /// Answers the first job, where the call has created it.
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Option<JobId>> {
        let answers = self.longhaul.enqueue_many(jobs.to_vec()).await?;
        for answer in answers.iter().filter(|answer| is_kept(answer)) {
            self.witness.acknowledge(&answer.id);
        }
        Ok(answers.into_iter().next().filter(Enqueued::is_created).map(|answer| answer.id))
    }

    /// Reads a job's log from its begin to its end.
    async fn read(&self, id: &JobId) {
        self.world.note("s", format_args!("reads {id}"));
        let mut reading = Reading::default();
        let mut away = 0;
        loop {
            let events = match self.longhaul.events(id, reading.after, 20, READ_FOR).await {
                Ok(Some(events)) => events,
                Ok(None) => return,
                Err(error) if error.is_outage() && away < 30 => {
                    away += 1;
                    self.clock.sleep(Duration::from_millis(300)).await;
                    continue;
                }
                Err(error) => return self.world.note("s", format_args!("gives up: {error}")),
            };
            for event in events {
                self.witness.count("events that were read");
                match reading.note(event) {
                    Ok(true) => return self.compare(id, &reading),
                    Ok(false) => {}
                    Err(how) => self.witness.break_promise(EVENTS, format!("of {id}, {how}")),
                }
            }
        }
    }

    /// Checks that a late reader of the whole log gets the events that were read as they came.
    fn compare(&self, id: &JobId, reading: &Reading) {
        let Some(whole) = self.witness.read_whole(id) else { return };
        let whole: Vec<&Event> =
            whole.iter().filter(|event| is_row(event) && event.seq <= reading.after).collect();
        if !whole.iter().copied().eq(&reading.kept) {
            let how = format!("{id} was read as {:?} as it came, and as {whole:?} as a whole", reading.kept);
            self.witness.break_promise(EVENTS, how);
        }
    }

    fn schedules(&self) -> longhaul::Schedules {
        self.longhaul.schedules().clock(self.clock.clone())
    }

    fn note_pause(&self, name: &str) {
        let mut schedules = self.schedules.lock();
        let unknown = || Put {
            schedule: longhaul::Schedule::every(
                name,
                Duration::from_secs(1),
                NewJob::new("none", longhaul::Json::null()),
            ),
            since: self.clock.now(),
            is_whole: false,
        };
        schedules.entry(name.to_owned()).or_insert_with(unknown).is_whole = false;
    }

    /// Looks at everything, as a dashboard does.
    async fn look(&self) -> Result<()> {
        let store = self.longhaul.store();
        store.queues().await?;
        store.lanes().await?;
        store.workers().await?;
        store.keys(&KeyFilter { limit: 10, ..KeyFilter::default() }).await?;
        let page = store.list(&JobFilter::default(), Page { limit: 5, ..Page::default() }).await?;
        for job in page.jobs {
            if let Lookup::Found(job) = self.longhaul.get(&job.id).await? {
                self.longhaul.why(&job).await?;
            }
        }
        Ok(())
    }
}

/// A log as it is read.
#[derive(Default)]
struct Reading {
    after: u64,
    attempt: u32,
    /// The pieces of the present run that have come.
    pieces: u64,
    kept: Vec<Event>,
}

impl Reading {
    /// Notes an event, and answers whether it is the last.
    fn note(&mut self, event: Event) -> std::result::Result<bool, String> {
        if event.seq <= self.after {
            return Err(format!("event {} came after {}", event.seq, self.after));
        }
        self.after = event.seq;
        if event.body == EventBody::Reset || (event.attempt != self.attempt && is_row(&event)) {
            (self.pieces, self.attempt) = (0, event.attempt);
        }
        if let EventBody::Chunk { data } = &event.body {
            let piece = data.to::<u64>().map_err(|error| error.to_string())?;
            // What was sent again after its answer was lost comes twice.
            if piece > self.pieces {
                return Err(format!("piece {piece} came where {} was to come", self.pieces));
            }
            self.pieces = self.pieces.max(piece + 1);
        }
        if is_row(&event) {
            self.kept.push(event.clone());
        }
        Ok(matches!(event.body, EventBody::State { state, .. } if state.is_finished()))
    }
}

/// True for events that are rows of the log, and not made of the job's present state.
fn is_row(event: &Event) -> bool {
    !matches!(event.body, EventBody::State { .. } | EventBody::Output { .. } | EventBody::Gap)
}
