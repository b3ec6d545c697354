use std::time::Duration;

use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::target::{StoreKind, Target};
use crate::zoo::{Animals, Cage, GOOD, visit};

/// Visits of each sort, of which the median counts.
const VISITS: usize = 5;

/// The time of good jobs by themselves and among bad ones, in turn, each on a new store.
pub(super) async fn measure(kind: StoreKind) -> Result<Vec<Figure>> {
    let (mut tame, mut all) = (Vec::new(), Vec::new());
    for _ in 0..VISITS {
        tame.push(took(kind, Animals::Tame).await?);
        all.push(took(kind, Animals::All).await?);
    }
    tame.sort_unstable();
    all.sort_unstable();
    let (tame, all) = (part(&tame, 0.5), part(&all, 0.5));
    let times = all.as_secs_f64() / tame.as_secs_f64();
    let name = format!("{GOOD} good jobs, by themselves and among every kind of bad one");
    let value = format!("{} → {} ({times:.2} ×)", millis(tame), millis(all));
    Ok(vec![Figure::held(name, value, Bar::at_most(times, 2.0, "×"))])
}

async fn took(kind: StoreKind, animals: Animals) -> Result<Duration> {
    let target = Target::start(kind).await?;
    let visited = visit(&Cage::open(kind, &target).await?, animals).await?;
    match visited.broken.as_slice() {
        [] => Ok(visited.took),
        broken => Err(broken.join("; ").into()),
    }
}
