use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::Clock;
use service_support::{AiBrain, AiBrainConfig, Cause, Embedder, Picture};

fn client(double: &Double) -> AiBrain {
    let config = AiBrainConfig { endpoint: double.url(), timeout: Duration::from_secs(10) };
    AiBrain::new(&config, Duration::from_secs(900), Clock::system()).unwrap()
}

#[tokio::test]
async fn a_picture_goes_up_whole_and_its_text_comes_back() {
    let double = Double::start().await;
    let brain = client(&double);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan");
    std::fs::write(&path, [7_u8; 1_000]).unwrap();
    let text = brain.read_text(Picture::File(&path), "scan.png", "image/png").await.unwrap();
    assert_eq!(text, "The picture scan.png of 1000 bytes.");
    let text = brain.read_text(Picture::Bytes(vec![7; 9]), "page-1.png", "image/png").await.unwrap();
    assert_eq!(text, "The picture page-1.png of 9 bytes.");
    let body = String::from_utf8_lossy(&double.seen("/router")[0].body).into_owned();
    assert!(body.contains("name=\"prompt\"") && body.contains("image/png"), "{body}");
}

#[tokio::test]
async fn an_error_in_the_text_is_an_error() {
    let double = Double::start().await;
    double.show("Error processing file: no such model");
    let error = client(&double).read_text(Picture::Bytes(vec![1]), "a.png", "image/png").await.unwrap_err();
    assert_eq!(error.cause, Cause::BadReply);
    assert!(error.to_string().contains("no such model"), "{error}");
}

#[tokio::test]
async fn a_long_text_is_embedded_in_pieces_and_averaged() {
    let double = Double::start().await;
    let brain = client(&double);
    let (short, long) = ("chlorophyll".to_owned(), "photosynthesis ".repeat(400));
    let vectors = brain.embed(&[short, long]).await.unwrap();
    assert_eq!(vectors.iter().flatten().map(Vec::len).collect::<Vec<_>>(), [1_024, 1_024]);
    let seen = double.seen("/utility/embed");
    assert_eq!(seen.len(), 1 + 4);
    assert!(seen.iter().all(|seen| seen.query.len() < 2_000 && seen.body.is_empty()));
}

#[tokio::test]
async fn health_is_whether_it_answers() {
    let double = Double::start().await;
    let brain = client(&double);
    brain.check_health().await.unwrap();
    double.fail("/health", Fault::Status(404));
    brain.check_health().await.unwrap();
    double.fail("/health", Fault::Status(500));
    assert_eq!(brain.check_health().await.unwrap_err().cause, Cause::Status(500));
}
