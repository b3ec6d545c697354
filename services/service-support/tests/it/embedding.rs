use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::Clock;
use service_support::{Cause, Embedder, EmbeddingConfig, OpenAiEmbedder, Tokens};

const PATH: &str = "/v1/embeddings";

fn client(double: &Double) -> OpenAiEmbedder {
    let config = EmbeddingConfig {
        base_url: double.v1(),
        provider: "vectors".into(),
        model: "small".into(),
        api_key: None,
    };
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

#[tokio::test]
async fn an_error_with_a_good_status_is_told_and_its_code_counts() {
    let double = Double::start().await;
    for (body, cause) in [
        ("{\"error\": {\"message\": \"CUDA out of memory\"}}", Cause::BadReply),
        ("{\"error\": \"CUDA out of memory\", \"data\": null}", Cause::BadReply),
        ("{\"error\": {\"message\": \"CUDA out of memory\", \"code\": 429}}", Cause::Status(429)),
    ] {
        double.fail(PATH, Fault::Body(body.into()));
        let error = client(&double).embed(&texts(2)).await.unwrap_err();
        assert!(error.cause == cause && error.message.ends_with("CUDA out of memory"), "{body}: {error}");
    }
}

#[tokio::test]
async fn vectors_whose_numbers_are_null_are_in_their_order() {
    let double = Double::start().await;
    let body = "{\"data\": [{\"index\": null, \"embedding\": [1]}, {\"index\": null, \"embedding\": [2]}], \"usage\": null}";
    double.fail(PATH, Fault::Body(body.into()));
    let vectors = client(&double).embed(&texts(2)).await.unwrap();
    assert_eq!(vectors, [Some(vec![1.0]), Some(vec![2.0])]);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_halved_and_the_size_is_kept() {
    let double = Double::start().await;
    double.limit_embeddings(10, usize::MAX);
    let client = client(&double);
    let vectors = client.embed(&texts(60)).await.unwrap();
    assert!(vectors.iter().all(Option::is_some));
    assert_eq!(vectors[59], client.embed(&texts(60)[59..]).await.unwrap()[0]);
    let before = double.seen(PATH).len();
    assert!(before < 20, "{before}");
    client.embed(&texts(60)).await.unwrap();
    assert_eq!(double.seen(PATH).len() - before, 60_usize.div_ceil(8), "in batches that it takes");
}

#[tokio::test]
async fn a_text_that_is_too_long_is_sent_in_halves_and_one_that_is_longer_has_no_vector() {
    let double = Double::start().await;
    double.limit_embeddings(64, 100);
    let client = client(&double);
    let mut all = texts(20);
    all[3] = "vehicle ".repeat(20);
    all[7] = "water ".repeat(100);
    all[12] = "水".repeat(150);
    let vectors = client.embed(&all).await.unwrap();
    let missing: Vec<usize> = (0..20).filter(|number| vectors[*number].is_none()).collect();
    assert_eq!(missing, [7], "one bad text costs no other one its vector");
    // The whole batch is taken at once again: it was not too large.
    let before = double.seen(PATH).len();
    client.embed(&texts(20)).await.unwrap();
    assert_eq!(double.seen(PATH).len() - before, 1);
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_an_error_and_not_a_document_without_vectors() {
    let double = Double::start().await;
    double.limit_embeddings(0, usize::MAX);
    let error = client(&double).embed(&texts(64)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Status(400));
    assert!(double.seen(PATH).len() < 12, "{}", double.seen(PATH).len());
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_a_few_times_and_no_more() {
    let double = Double::start().await;
    for _ in 0..20 {
        double.fail(PATH, Fault::Status(500));
    }
    let error = client(&double).embed(&texts(64)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Status(500));
    assert_eq!(double.seen(PATH).len(), 7, "64, 32, 16, 8, 4, 2, 1");
}

#[tokio::test]
async fn the_tokens_of_each_request_are_counted_as_the_server_tells_them() {
    let double = Double::start().await;
    let (client, tokens) = (client(&double), Tokens::default());
    assert_eq!(client.limit_key(), Some("provider:vectors"));
    client.embed_counting(&texts(130), &tokens).await.unwrap();
    assert_eq!(tokens.taken(), 260, "two words each, of which the double makes two tokens");
}
