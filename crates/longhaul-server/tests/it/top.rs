//! `longhaul top` in a real terminal, which Python makes.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::crew::{Act, Crew};
use crate::server::{LONGHAUL, PATIENCE, Place, stderr};

/// Runs a command in a terminal of 120 × 30 and keeps its screen, because a program writes only the cells that change. Each
/// line of its input is what to wait for on the screen, a tab, and the keys to press then. Ends with the exit code.
const TERMINAL: &str = r#"
import codecs, fcntl, os, pty, re, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
screen = [[" "] * 120 for _ in range(30)]
row = column = 0
rest, written, text = "", "", codecs.getincrementaldecoder("utf-8")()
token = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()=>].?|([^\x1b])", re.S)
def read():
    global row, column, rest, written
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        return False
    piece = text.decode(piece)
    rest, written = rest + piece, written + piece
    while match := token.match(rest):
        rest = rest[match.end():]
        numbers, command, character = match.groups()
        if command == "H":
            row, column = [int(n or 1) - 1 for n in ((numbers or "1;1") + ";1").split(";")[:2]]
        elif character and character.isprintable() and row < 30 and column < 120:
            screen[row][column] = character
            column += 1
    return piece != ""
for line in sys.stdin.buffer.read().decode().split("\n"):
    wanted, _, keys = line.partition("\t")
    while not any(wanted in "".join(row) for row in screen):
        if not read():
            sys.exit("it ended before it showed %r:\n%s" % (wanted, "\n".join("".join(row) for row in screen)))
    os.write(terminal, keys.encode())
while read():
    pass
if "\x1b[?1049l" not in written:
    sys.exit("the terminal was not given back")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[tokio::test]
async fn a_job_is_cancelled_from_the_keyboard_and_the_terminal_is_given_back() {
    let place = Place::new();
    let crew = Crew::at(&place).await;
    let id = crew.longhaul.enqueue(Act { how: "stay".into(), n: 0 }).await.expect("it is enqueued").id;
    crew.longhaul.events(&id, 0, 100, PATIENCE).await.expect("it begins");
    let data = place.data();
    let mut terminal = Command::new("python3");
    terminal.args(["-c", TERMINAL, LONGHAUL, "top", "--data", data.to_str().expect("UTF-8")]);
    terminal.env("TERM", "xterm-256color").kill_on_drop(true);
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = terminal.spawn().expect("python3 runs");
    let keys = format!("stands there\t\tc\ncancel {id}? y / n\ty\ncancelled, or asked to stop\tq");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(keys.as_bytes()).await.expect("it listens");
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("it ends");
    assert!(output.status.success(), "{}", stderr(&output));
    let ended = crew.longhaul.wait(&id, PATIENCE).await.expect("it ends").found().expect("it is there");
    assert_eq!(ended.state, longhaul::State::Cancelled);
}

#[tokio::test]
async fn without_a_terminal_scripts_are_told_what_to_use() {
    let refused = Place::new().run(&["top"]).await;
    assert!(
        stderr(&refused).contains("top needs a terminal; scripts have longhaul queues --json"),
        "{refused:?}"
    );
}
