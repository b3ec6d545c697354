//! A real terminal, which Python makes.

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::server::{LONGHAUL, PATIENCE, Place};

/// Runs a command in a terminal of 120 × 30 and keeps its screen, because a program writes only the cells that change. Each
/// line of its input is what to wait for on the screen, a tab, and the keys to press then. Prints all that
/// was written, and ends with the exit code.
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
    while not (wanted in written or any(wanted in "".join(row) for row in screen)):
        if not read():
            sys.exit("it ended before it showed %r:\n%s" % (wanted, "\n".join("".join(row) for row in screen)))
    os.write(terminal, keys.encode())
while read():
    pass
print(written)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs a command on a place in a terminal, with variables in its environment. Each pair is what is waited for and what is typed then.
pub(crate) async fn run(
    place: &Place,
    args: &[&str],
    variables: &[(&str, &str)],
    typed: &[(&str, &str)],
) -> Output {
    let mut terminal = Command::new("python3");
    terminal.args(["-c", TERMINAL, LONGHAUL]).args(args);
    terminal
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", "xterm-256color");
    terminal
        .env("LONGHAUL_DATA", place.data())
        .env("LONGHAUL_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied());
    terminal.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = terminal.spawn().expect("python3 runs");
    let lines: Vec<String> = typed.iter().map(|(wanted, keys)| format!("{wanted}\t{keys}")).collect();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines.join("\n").as_bytes()).await.expect("it listens");
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("it ends")
}
