//! This machine: its variables, clock, data folder and ports.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use longhaul::Clock;
use longhaul::clock::Stopwatch;
use tokio::net::TcpListener;

use super::{Check, server};
use crate::stores;

/// Every variable is explained there; a test of the services holds it.
const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");

/// A variable that nothing reads is most often a typing error of one that something reads.
pub(super) fn variables() -> Vec<Check> {
    let known: BTreeSet<&str> =
        CONFIGURATION.split('`').filter(|word| word.starts_with("LONGHAUL_")).collect();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let strange = set.filter(|name| {
        let is_ours = name.starts_with("LONGHAUL_") && !name.starts_with("LONGHAUL_TEST_");
        is_ours && !known.contains(name.as_str())
    });
    let check = |name: String| {
        let nearest = known.iter().max_by_key(|known| alike(known, &name)).copied().unwrap_or_default();
        Check::warn(
            "variables",
            format!("nothing reads {name}"),
            format!("is it {nearest}? See docs/configuration.md"),
        )
    };
    strange.map(check).collect()
}

/// The values that are to be hidden: nothing starts where it cannot be read.
pub(super) fn redaction() -> Option<Check> {
    let advice = "name paths as in args.password,output.token: docs/configuration.md";
    stores::redaction().err().map(|error| Check::fail(stores::REDACT, error.to_string(), advice))
}

/// The number of letters that two names have in common at their beginning and at their end.
fn alike(one: &str, other: &str) -> usize {
    let same = |(a, b): &(char, char)| a == b;
    let start = one.chars().zip(other.chars()).take_while(same).count();
    start + one.chars().rev().zip(other.chars().rev()).take_while(same).count()
}

/// The start of the year of this release, in milliseconds.
const RELEASED: i64 = 1_767_225_600_000;

pub(super) fn clock() -> Check {
    let now = Clock::system().now();
    let time = jiff::Timestamp::from_millisecond(now.0).map_or_else(|_| "?".into(), |at| format!("{at:.0}"));
    if now.0 < RELEASED {
        let advice = "set it, or let NTP do so: delays, schedules and tokens go by it";
        return Check::fail("clock", format!("{time} is before this release was made"), advice);
    }
    Check::ok("clock", time)
}

/// The free space on the disk below which the doctor warns.
const LITTLE_ROOM: u64 = 1024 * 1024 * 1024;
/// Less room than this, and the store is about to refuse work.
const NO_ROOM: u64 = 64 * 1024 * 1024;
/// A disk that takes longer than this for a durable write makes every job wait for it.
const SLOW_SYNC: Duration = Duration::from_millis(20);

/// The data folder: whose it is, what room it has, how long its disk takes to keep something.
pub(super) fn folder(data: &Path) -> Vec<Check> {
    let name = data.display();
    let metadata = match fs::metadata(data) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let advice = "name another folder with --data";
            return vec![Check::fail("data folder", format!("{name} is a file"), advice)];
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Err(error) = can_be_made(data) {
                let advice = "mend the rights of the folder above, or name another one with --data";
                let detail = format!("{name} is not there, and cannot be made: {error}");
                return vec![Check::fail("data folder", detail, advice)];
            }
            let advice = "nothing, if this is where it is to be; else name it with --data or LONGHAUL_DATA";
            return vec![Check::warn(
                "data folder",
                format!("{name} is not there yet; longhaul serve makes it"),
                advice,
            )];
        }
        Err(error) => {
            let advice = "mend its rights, or name another folder with --data";
            return vec![Check::fail("data folder", format!("failed to look at {name}: {error}"), advice)];
        }
    };
    let mut checks = Vec::new();
    let me = rustix::process::geteuid().as_raw();
    checks.push(if metadata.uid() != me && me != 0 {
        let advice = "run this as the server's user, or name another folder with --data";
        Check::fail("data folder", format!("{name} belongs to another user"), advice)
    } else if metadata.mode() & 0o077 != 0 {
        let advice = format!("chmod 700 {name}; longhaul serve does so at its start");
        Check::warn("data folder", format!("{name} can be read by others, and holds secrets"), advice)
    } else {
        Check::ok("data folder", format!("{name}, closed to others"))
    });
    checks.push(match synced(data) {
        Ok(took) if took > SLOW_SYNC => {
            let advice = "every answer waits for the disk: a local SSD takes a millisecond or two";
            Check::warn("disk", format!("a durable write takes {:.1} ms", took.as_secs_f64() * 1e3), advice)
        }
        Ok(took) => Check::ok("disk", format!("a durable write takes {:.1} ms", took.as_secs_f64() * 1e3)),
        Err(error) => Check::fail(
            "disk",
            format!("failed to write in {name}: {error}"),
            "mend its rights, or free space",
        ),
    });
    checks.extend(room(data));
    checks
}

/// Creates a folder in the nearest existing parent, and removes it again: permissions alone are no proof, because a
/// file system may be read-only, or not allow folders.
fn can_be_made(data: &Path) -> std::io::Result<()> {
    let mut above = data.ancestors().skip(1).map(|folder| {
        // What stands before a relative name is the folder that this runs in.
        if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
    });
    let above = above.find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let probe = above.join(format!(".doctor-{}", std::process::id()));
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

/// The median time of a few durable writes.
fn synced(data: &Path) -> std::io::Result<Duration> {
    let path = data.join(format!(".doctor-{}", std::process::id()));
    let measure = || {
        let mut file = File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..5 {
            let watch = Stopwatch::start();
            file.write_all(&[0; 4096])?;
            file.sync_all()?;
            times.push(watch.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    };
    let measured = measure();
    let _ = fs::remove_file(&path);
    measured
}

fn room(data: &Path) -> Option<Check> {
    let disk = rustix::fs::statvfs(data).ok()?;
    let (free, whole) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let detail = format!("{:.1} GiB of {:.1} GiB are free", gib(free), gib(whole));
    Some(match free {
        0..NO_ROOM => Check::fail("space", detail, "free some: a store without room refuses new jobs"),
        NO_ROOM..LITTLE_ROOM => {
            Check::warn("space", detail, "free some, or shorten longhaul queues retention")
        }
        _ => Check::ok("space", detail),
    })
}

pub(super) async fn listener(address: SocketAddr) -> Check {
    match TcpListener::bind(address).await {
        Ok(_) => Check::ok("port", format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            match server::at(&format!("http://{address}")).await {
                Some((version, durability)) => {
                    let durability = durability.map_or_else(String::new, |how| format!(", durability {how}"));
                    Check::ok("port", format!("a Longhaul server {version} listens on {address}{durability}"))
                }
                None => {
                    let detail = format!("something else than Longhaul listens on {address}");
                    Check::warn("port", detail, "choose another one with --listen or LONGHAUL_LISTEN")
                }
            }
        }
        Err(error) => {
            let advice = "choose an address of this machine and a port above 1023 with --listen";
            Check::fail("port", format!("failed to listen on {address}: {error}"), advice)
        }
    }
}

pub(super) fn admin_token(address: SocketAddr) -> Check {
    let token = std::env::var("LONGHAUL_ADMIN_TOKEN").unwrap_or_default();
    let is_local = address.ip().to_canonical().is_loopback();
    match token.trim().len() {
        0 if is_local => {
            Check::ok("admin token", "none: the admin API is open to every program on this machine")
        }
        0 => {
            let detail = format!("none, and {address} can be reached from other machines");
            Check::fail("admin token", detail, "set LONGHAUL_ADMIN_TOKEN: openssl rand -hex 32 makes one")
        }
        1..16 => {
            let advice = "openssl rand -hex 32 makes one that nobody guesses";
            Check::fail("admin token", "LONGHAUL_ADMIN_TOKEN is shorter than 16 characters", advice)
        }
        _ => Check::ok("admin token", "set"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_is_offered() {
        let nearest = |name: &str| {
            let known = ["LONGHAUL_DATA", "LONGHAUL_LISTEN", "LONGHAUL_STORE", "LONGHAUL_ADMIN_TOKEN"];
            known.into_iter().max_by_key(|known| alike(known, name))
        };
        assert_eq!(nearest("LONGHAUL_LISTENS"), Some("LONGHAUL_LISTEN"));
        assert_eq!(nearest("LONGHAUL_TOKEN_ADMIN"), Some("LONGHAUL_ADMIN_TOKEN"));
        assert_eq!(nearest("LONGHAUL_DTAA"), Some("LONGHAUL_DATA"));
    }
}
