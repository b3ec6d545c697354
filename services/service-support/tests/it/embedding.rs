use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::Clock;
use service_support::{Cause, Embedder, EmbeddingConfig, OpenAiEmbedder};

const PATH: &str = "/v1/embeddings";

fn client(double: &Double) -> OpenAiEmbedder {
    let config = EmbeddingConfig { base_url: double.v1(), model: "small".into(), api_key: None };
    OpenAiEmbedder::new(&config, Duration::from_secs(900), Clock::system()).unwrap()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text number{number}")).collect()
}

#[tokio::test]
async fn every_text_gets_its_own_vector_in_order() {
    let double = Double::start().await;
    let client = client(&double);
    let vectors = client.embed(&texts(130)).await.unwrap();
    assert_eq!(vectors.len(), 130);
    assert_eq!(double.seen(PATH).len(), 3, "in batches of 64");
    // The double answers in reverse, so an order that was not restored would show here.
    assert_eq!(client.embed(&texts(130)[100..101]).await.unwrap()[0], vectors[100]);
    assert_ne!(vectors[100], vectors[101]);
    assert!(client.embed(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn unsound_vectors_are_refused() {
    let double = Double::start().await;
    for body in [
        "{\"data\": []}",
        "{\"data\": [{\"index\": 0, \"embedding\": []}, {\"index\": 1, \"embedding\": []}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [1]}, {\"index\": 1, \"embedding\": [1, 2]}]}",
        "{\"data\": [{\"index\": 0, \"embedding\": [1e39]}, {\"index\": 1, \"embedding\": [1]}]}",
        "{\"vectors\": []}",
    ] {
        double.fail(PATH, Fault::Body(body.into()));
        let error = client(&double).embed(&texts(2)).await.unwrap_err();
        assert_eq!(error.cause, Cause::BadReply, "{body}");
    }
}
