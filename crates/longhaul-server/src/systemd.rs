//! Notifications to systemd of a service of `Type=notify`: that it is ready, that it stops, and, with a watchdog, that
//! it lives.
//!
//! Nothing is sent if `NOTIFY_SOCKET` is not set, as outside of systemd.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Reports readiness, with a line for `systemctl status`. From here on, a process with a watchdog reports twice within
/// the watchdog's time that it lives, from the runtime that runs everything else.
pub(crate) fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}"));
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(every) = watchdog(variable, std::process::id()) {
        tokio::spawn(async move {
            loop {
                tell("WATCHDOG=1");
                tokio::time::sleep(every).await;
            }
        });
    }
}

/// Reports that the process is about to end.
pub(crate) fn stopping() {
    tell("STOPPING=1\nSTATUS=waiting for what runs");
}

/// Half of the watchdog's time; `None` without a watchdog for this process.
fn watchdog(variable: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
    let is_ours = variable("WATCHDOG_PID").is_none_or(|asked| asked.parse() == Ok(process));
    is_ours.then(|| Duration::from_micros(micros / 2))
}

fn tell(state: &str) {
    let Some(socket) = std::env::var("NOTIFY_SOCKET").ok().filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!("failed to tell systemd at {socket}: {error}");
    }
}

/// Sends to a socket that is known by its path or, behind an `@`, by a name alone.
fn send(socket: &str, state: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A full buffer must not block the server.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_hears_twice_within_its_time_of_the_process_that_it_asks() {
        let asked = |micros: &'static str, process: Option<&'static str>| {
            let variable = move |name: &str| match name {
                "WATCHDOG_USEC" => Some(micros.to_owned()),
                _ => process.map(str::to_owned),
            };
            watchdog(variable, 7)
        };
        assert_eq!(asked("30000000", None), Some(Duration::from_secs(15)));
        assert_eq!(asked("30000000", Some("7")), Some(Duration::from_secs(15)));
        for (micros, process) in [("30000000", Some("8")), ("0", None), ("", None), ("-1", None)] {
            assert_eq!(asked(micros, process), None, "{micros} {process:?}");
        }
        assert_eq!(watchdog(|_| None, 7), None);
    }
}
