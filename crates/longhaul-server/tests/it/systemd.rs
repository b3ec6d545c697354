//! The notifications of a service of `Type=notify`, received at a socket in place of systemd's.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tokio::time::timeout;

use crate::server::{PATIENCE, Place, Server, client};

#[tokio::test]
async fn a_server_tells_systemd_that_it_listens_that_it_lives_and_that_it_stops() {
    let place = Place::new();
    let path = place.log().with_extension("notify");
    let systemd = Systemd::at(UnixDatagram::bind(&path).expect("a socket"));
    let socket = path.to_str().expect("UTF-8");
    let environment = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "200000")];
    let mut server = place.serve_with(&[], &environment).await;
    let ready = systemd.next().await;
    assert!(ready.starts_with("READY=1\nSTATUS=listening on http://127.0.0.1:"), "{ready}");
    assert_eq!(client().get(server.at("/health")).send().await.expect("it listens").status(), 200);
    for _ in 0..3 {
        assert_eq!(systemd.next().await, "WATCHDOG=1");
    }
    server.terminate().await;
    let mut told = systemd.next().await;
    while told == "WATCHDOG=1" {
        told = systemd.next().await;
    }
    assert!(told.starts_with("STOPPING=1\n"), "{told}");
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_worker_tells_systemd_by_a_socket_without_a_path_and_no_watchdog_of_another_process() {
    let place = Place::new();
    let name = format!("longhaul-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let systemd = Systemd::at(UnixDatagram::bind_addr(&address).expect("a socket"));
    let mut command = place.command(&["worker", "--queues", "http=3"]);
    command.env("NOTIFY_SOCKET", format!("@{name}")).env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let log = std::fs::File::create(place.log()).expect("a log");
    let worker = Server::of(command.stderr(log).spawn().expect("the binary starts"), place.log());
    let ready = systemd.next().await;
    assert_eq!(ready, "READY=1\nSTATUS=running jobs");
    worker.terminate().await;
    let told = systemd.next().await;
    assert!(told.starts_with("STOPPING=1\n"), "nobody asked for a sign of life: {told}");
}

/// The socket of a systemd that asks for nothing.
struct Systemd(tokio::net::UnixDatagram);

impl Systemd {
    fn at(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).expect("a socket");
        Self(tokio::net::UnixDatagram::from_std(socket).expect("a socket"))
    }

    /// The next notification.
    async fn next(&self) -> String {
        let mut told = [0; 1024];
        let length = timeout(PATIENCE, self.0.recv(&mut told)).await.expect("in time").expect("a datagram");
        String::from_utf8(told[..length].to_vec()).expect("UTF-8")
    }
}
