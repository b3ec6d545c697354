//! Measures how fast the local model embeds chunks of texts, by one thread:
//! `cargo run --release --package materials --example embedding_speed -- MODEL_FOLDER FILE…`

use std::path::PathBuf;
use std::process::ExitCode;

use longhaul::clock::Stopwatch;
use materials::text;
use service_support::{Embedder, LocalEmbedder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let model = match paths.next().map(|folder| LocalEmbedder::find(&folder)) {
        Some(Ok(Some(model))) => model,
        Some(Err(error)) => return failed(&error.to_string()),
        None | Some(Ok(None)) => return failed("the first argument must be a folder with the model"),
    };
    // The files are read when the first text is embedded.
    if let Err(error) = model.embed(&["text".to_owned()]).await {
        return failed(&error.to_string());
    }
    for path in paths {
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return failed(&format!("failed to read {}: {error}", path.display())),
        };
        let chunks = text::chunks(&text);
        let started = Stopwatch::start();
        if let Err(error) = model.embed(&chunks).await {
            return failed(&error.to_string());
        }
        let seconds = started.elapsed().as_secs_f64();
        let pace = chunks.len() as f64 / seconds;
        println!("{}: {} chunks in {seconds:.3} s, {pace:.0} a second", path.display(), chunks.len());
    }
    ExitCode::SUCCESS
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}
