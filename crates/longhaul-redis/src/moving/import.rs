use longhaul::Result;
use longhaul::moving::{Exported, Imported};

use super::fields::pack;
use crate::answer::{int, list};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::bounded;
use crate::pack::Packer;
use crate::samples::name_of;
use crate::scripts::{IMPORT_JOBS, IMPORT_MEMORIES, Script};

/// The jobs of one call, which the server does in one go, and about the bytes of it.
const JOBS_PER_CALL: usize = 50;
const BYTES_PER_CALL: usize = 4 << 20;

/// Imports all but settings, which has been done.
pub(crate) async fn import(
    driver: &Driver,
    records: &[Exported],
    settings: &[Option<Imported>],
) -> Result<Vec<Imported>> {
    let mut imported: Vec<Option<Imported>> = settings.to_vec();
    let mut jobs = Calls::new(driver, &IMPORT_JOBS);
    let mut memories = Calls::new(driver, &IMPORT_MEMORIES);
    for (place, record) in records.iter().enumerate() {
        match record {
            Exported::Queue(_) | Exported::Key(_) => {}
            Exported::Job(job) => jobs.add(place, pack(job), &mut imported).await?,
            other => memories.add(place, memory(other), &mut imported).await?,
        }
    }
    jobs.send(&mut imported).await?;
    memories.send(&mut imported).await?;
    Ok(imported.into_iter().map(|imported| imported.unwrap_or(Imported::Present)).collect())
}

/// An idempotency key, a removed id or a sample, packed as an argument of `import_memories.lua`.
fn memory(record: &Exported) -> Vec<u8> {
    let mut packed = Packer::new();
    match record {
        Exported::IdempotencyKey(key) => {
            packed.list(5).text("i").text(&key.key).int(key.expires_at.0);
            packed.text(&key.fingerprint).text(key.id.as_str());
        }
        Exported::Removed(removal) => {
            packed.list(3).text("g").text(removal.id.as_str()).int(removal.until.0);
        }
        Exported::Sample(sample) => {
            packed.list(5).text("s").text(&name_of(&sample.sample)).int(sample.expires_at.0);
            packed.int(bounded(sample.sample.keep_for)).text(sample.sample.body.as_str());
        }
        Exported::Queue(_) | Exported::Key(_) | Exported::Job(_) => {}
    }
    packed.done()
}

/// Calls of one script, gathered until they are large enough.
struct Calls<'d> {
    driver: &'d Driver,
    script: &'static Script,
    /// The places of the records in the answer.
    places: Vec<usize>,
    arguments: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'d> Calls<'d> {
    fn new(driver: &'d Driver, script: &'static Script) -> Self {
        Self { driver, script, places: Vec::new(), arguments: Vec::new(), bytes: 0 }
    }

    async fn add(&mut self, place: usize, packed: Vec<u8>, imported: &mut [Option<Imported>]) -> Result<()> {
        self.bytes += packed.len();
        self.places.push(place);
        self.arguments.push(packed);
        if self.arguments.len() == JOBS_PER_CALL || self.bytes >= BYTES_PER_CALL {
            self.send(imported).await?;
        }
        Ok(())
    }

    async fn send(&mut self, imported: &mut [Option<Imported>]) -> Result<()> {
        if self.arguments.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let answer = self.driver.call(self.script, std::mem::take(&mut self.arguments)).await?;
        let damaged = || unreadable(self.script.operation);
        let answers = list(answer).ok_or_else(damaged)?;
        let places = std::mem::take(&mut self.places);
        if answers.len() != places.len() {
            return Err(damaged());
        }
        for (place, answer) in places.into_iter().zip(answers) {
            imported[place] = Some(match int(&answer) {
                Some(1) => Imported::Created,
                Some(2) => Imported::Removed,
                Some(_) => Imported::Present,
                None => return Err(damaged()),
            });
        }
        Ok(())
    }
}
