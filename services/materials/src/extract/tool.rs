use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{ExtractError, Limits};

/// The programs that extraction needs and this machine lacks, each with the Debian package that brings it:
/// `tesseract (tesseract-ocr)`. Empty where all are there.
#[must_use]
pub fn missing_tools() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let needed = [
        ("pdfinfo", "pdfinfo (poppler-utils)"),
        ("pdftotext", "pdftotext (poppler-utils)"),
        ("pdftoppm", "pdftoppm (poppler-utils)"),
        ("pdfimages", "pdfimages (poppler-utils)"),
        ("pdfdetach", "pdfdetach (poppler-utils)"),
        ("gm", "gm (graphicsmagick)"),
        ("tesseract", "tesseract (tesseract-ocr)"),
        ("prlimit", "prlimit (util-linux)"),
        ("setpriv", "setpriv (util-linux)"),
        ("nice", "nice (coreutils)"),
    ];
    needed
        .into_iter()
        .filter(|(tool, _)| locate(tool, &path).is_none())
        .map(|(_, described)| described)
        .collect()
}

/// One run of a program over a document. There is no shell, no file that it writes and nothing of the server's
/// environment that it could give away.
pub(super) struct Run<'a> {
    pub(super) tool: &'static str,
    pub(super) args: &'a [&'a OsStr],
    pub(super) input: Input,
    /// The run ends as [`Ending::TooMuchOutput`] where it writes more bytes than this.
    pub(super) output_bytes: u64,
    pub(super) limits: &'a Limits,
}

/// The standard input of a program.
pub(super) enum Input {
    Nothing,
    Bytes(Bytes),
    File(File),
}

/// The end of a program that was not ended from outside.
#[derive(Debug)]
pub(super) enum Ending {
    /// Its output, and what it complained about on the way.
    Done(Vec<u8>, String),
    /// It gave up on the document or crashed over it; these are its own words, or the signal.
    Failed(String),
    TooMuchOutput,
}

/// Of what a program complains about, this much is kept.
const COMPLAINT_BYTES: usize = 4 * 1024;

impl Run<'_> {
    pub(super) async fn run(self) -> Result<Ending, ExtractError> {
        let (tool, limits) = (self.tool, self.limits);
        let mut child = self.spawn()?;
        let group = Group::of(&child);
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Input::Bytes(bytes)) = (stdin, &self.input) {
                // A program that ends before it has read everything breaks the pipe; how it ended says why.
                let _broken = stdin.write_all(bytes).await;
            }
            Ok(())
        };
        let output = read_all(child.stdout.take(), self.output_bytes);
        let complaint = read_some(child.stderr.take());
        let streams = async { tokio::try_join!(feed, output, complaint) };
        let ended = tokio::time::timeout(limits.page_time, async {
            match streams.await {
                Ok(((), output, complaint)) => Ok(Some((child.wait().await?, output, complaint))),
                Err(Broken::TooLong) => Ok(None),
                Err(Broken::Io(error)) => Err(error),
            }
        });
        let ended = match ended.await {
            Ok(ended) => ended.map_err(ExtractError::io("run a program that reads documents"))?,
            Err(_) => {
                drop(group);
                end(tool, &mut child).await;
                return Err(ExtractError::PageTimeout { after: limits.page_time });
            }
        };
        let Some((status, output, complaint)) = ended else {
            drop(group);
            end(tool, &mut child).await;
            return Ok(Ending::TooMuchOutput);
        };
        group.has_ended();
        if !complaint.is_empty() {
            tracing::debug!(tool, "{complaint}");
        }
        verdict(tool, status, output, complaint, limits.page_time)
    }

    /// `setpriv`, `nice` and `prlimit` become the program itself (exec), so it is one process, which ends with its group when
    /// the future of its run is dropped. A group of its own keeps a terminal's Ctrl-C away from it: the server that gets
    /// the same Ctrl-C lets running jobs finish.
    ///
    /// The kernel kills it when the thread that started it ends, and so when the server does, however that happens. Runs
    /// are polled by the runtime's workers, which live as long as the server; a thread for blocking work would not.
    fn spawn(&self) -> Result<Child, ExtractError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |tool| {
            let unavailable =
                || ExtractError::ToolUnavailable { tool, reason: "it is not installed".to_owned() };
            locate(tool, &path).ok_or_else(unavailable)
        };
        let seconds = self.limits.page_time.as_secs() + 1;
        let mut command = Command::new(find("setpriv")?);
        command
            .args(["--pdeathsig", "KILL"])
            .arg(find("nice")?)
            // Added to the server's own niceness, of -20 and more, and cut at 19: the lowest priority in any case.
            .args(["-n", "39"])
            .arg(find("prlimit")?)
            .arg(format!("--as={}", self.limits.memory_bytes))
            .arg(format!("--cpu={seconds}:{}", seconds + 5))
            .arg("--core=0")
            .arg("--")
            .arg(find(self.tool)?)
            .args(self.args)
            .env_clear()
            .env("PATH", &path)
            .env("LC_ALL", "C.UTF-8")
            .env("OMP_THREAD_LIMIT", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in ["HOME", "TESSDATA_PREFIX"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let stdin = match &self.input {
            Input::Nothing => Stdio::null(),
            Input::Bytes(_) => Stdio::piped(),
            Input::File(file) => file.try_clone().map_err(ExtractError::io("open the document"))?.into(),
        };
        command.stdin(stdin).spawn().map_err(ExtractError::io("start a program that reads documents"))
    }
}

fn verdict(
    tool: &'static str,
    status: ExitStatus,
    output: Vec<u8>,
    complaint: String,
    time: Duration,
) -> Result<Ending, ExtractError> {
    /// More CPU time than it was given.
    const SIGXCPU: i32 = 24;
    /// The signals by which a program ends itself when a document is too much for it: ILL, TRAP, ABRT (which is also
    /// how C++ runs out of memory), BUS, FPE, SEGV, SYS.
    const CRASHES: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Ending::Done(output, complaint)),
        // From prlimit or the dynamic linker: the program never began.
        (Some(126 | 127), _) => Err(ExtractError::ToolUnavailable { tool, reason: complaint }),
        (_, Some(SIGXCPU)) => Err(ExtractError::PageTimeout { after: time }),
        (_, Some(signal)) if CRASHES.contains(&signal) => {
            Ok(Ending::Failed(format!("{tool} crashed with signal {signal}: {complaint}")))
        }
        (_, Some(signal)) => Err(ExtractError::ToolKilled { tool, signal }),
        (_, None) => Ok(Ending::Failed(complaint)),
    }
}

/// A running program with all that it has started. Dropping this ends them; a program alone would leave its own
/// children behind.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Once the program was waited for, its number may be another's.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails where the program has just ended by itself.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Ends a program and waits until it is gone, so that a timeout leaves nothing behind that still burns CPU.
async fn end(tool: &'static str, child: &mut Child) {
    if let Err(error) = child.kill().await {
        tracing::warn!("failed to end {tool}: {error}");
    }
}

enum Broken {
    TooLong,
    Io(io::Error),
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(limit.saturating_add(1)).read_to_end(&mut bytes).await.map_err(Broken::Io)?;
    }
    let within = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    within.then_some(bytes).ok_or(Broken::TooLong)
}

/// Reads to the end, or a program that complains a lot would wait for a reader for ever, and keeps the beginning.
async fn read_some(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Broken> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let mut buffer = [0; 1024];
        loop {
            let length = stream.read(&mut buffer).await.map_err(Broken::Io)?;
            if length == 0 {
                break;
            }
            let room = COMPLAINT_BYTES.saturating_sub(kept.len()).min(length);
            kept.extend_from_slice(&buffer[..room]);
        }
    }
    Ok(String::from_utf8_lossy(&kept).trim().to_owned())
}

fn locate(tool: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(tool)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    async fn run(tool: &'static str, args: &[&str], limits: &Limits) -> Result<Ending, ExtractError> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        Run { tool, args: &args, input: Input::Nothing, output_bytes: 1000, limits }.run().await
    }

    #[tokio::test]
    async fn a_program_has_the_lowest_priority_and_nothing_of_the_servers_environment() {
        let Ending::Done(nice, _) = run("nice", &[], &Limits::default()).await.unwrap() else { panic!() };
        assert_eq!(nice, b"19\n");
        let Ending::Done(names, _) = run("env", &[], &Limits::default()).await.unwrap() else { panic!() };
        let names = String::from_utf8(names).unwrap();
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        assert!(!names.contains("CARGO"), "{names}");
    }

    #[tokio::test]
    async fn output_without_end_is_cut_and_its_program_ended() {
        let ended = run("yes", &[], &Limits::default()).await.unwrap();
        assert!(matches!(ended, Ending::TooMuchOutput), "{ended:?}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_when_its_time_is_up() {
        let limits = Limits { page_time: Duration::from_millis(100), ..Limits::default() };
        let error = run("sleep", &["600"], &limits).await.unwrap_err();
        assert_eq!(error.to_string(), "OCR processing timeout after 0.1s");
        assert!(!error.is_final());
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_any_more_leaves_no_program_behind() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("alive");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // The program and its own child keep the pipe open for as long as one of them lives.
        let script = format!("exec 3>'{}'; sleep 600 & echo started >&3; sleep 600", fifo.display());
        let running =
            tokio::spawn(async move { run("sh", &["-c", &script], &Limits::default()).await.is_ok() });
        let mut pipe = BufReader::new(tokio::fs::File::open(&fifo).await.unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).await.unwrap();
        assert_eq!(line, "started\n");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(pipe.read_line(&mut line).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn how_a_program_ends_tells_a_bad_document_from_a_bad_day() {
        let limits = Limits::default();
        let failed = run("sh", &["-c", "echo no >&2; exit 3"], &limits).await.unwrap();
        assert!(matches!(failed, Ending::Failed(complaint) if complaint == "no"));
        let crashed = run("sh", &["-c", "kill -SEGV $$"], &limits).await.unwrap();
        assert!(matches!(crashed, Ending::Failed(_)), "{crashed:?}");
        let killed = run("sh", &["-c", "kill -KILL $$"], &limits).await.unwrap_err();
        assert!(matches!(killed, ExtractError::ToolKilled { signal: 9, .. }), "{killed}");
        let missing = run("no-such-program", &[], &limits).await.unwrap_err();
        assert!(matches!(missing, ExtractError::ToolUnavailable { .. }), "{missing}");
        assert!(!killed.is_final() && !missing.is_final());
    }

    #[tokio::test]
    async fn a_program_that_takes_too_much_memory_fails() {
        let limits = Limits { memory_bytes: 200 << 20, ..Limits::default() };
        let ended = run("dd", &["if=/dev/zero", "of=/dev/null", "bs=1G", "count=1"], &limits).await.unwrap();
        assert!(matches!(&ended, Ending::Failed(complaint) if complaint.contains("exhausted")), "{ended:?}");
    }

    #[test]
    fn a_program_is_looked_for_in_every_folder_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain-file"), "").unwrap();
        let path = std::env::join_paths([folder.path(), Path::new("/bin"), Path::new("/usr/bin")]).unwrap();
        assert!(locate("nice", &path).is_some());
        assert_eq!(locate("plain-file", &path), None);
        assert_eq!(locate("nice", folder.path().as_os_str()), None);
    }
}
