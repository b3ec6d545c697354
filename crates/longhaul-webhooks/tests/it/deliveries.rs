use std::time::Duration;

use longhaul::testing::Harness;
use longhaul::webhook::{self, Delivery, Redelivered, Secret, Secrets};
use longhaul::{
    AWAITED_FOR, Context, Done, Enqueued, Idempotency, Job, JobError, JobId, JobRecord, JobResult, Keep,
    Lookup, NewJob, QueueConfig, Retention, State, Unique, Webhook, WebhookEvent,
};
use longhaul_webhooks::{Deliver, Outbound, Sender, sign};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::guard::outbound;
use crate::receiver::{Receiver, Reply, Seen};

/// A job that ends as it is told to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) fails: Option<String>,
}

impl Job for Work {
    const KIND: &'static str = "work";
    const MAX_ATTEMPTS: u32 = 1;
    type State = ();
    type Output = Value;

    async fn run(self, cx: Context<()>) -> JobResult<Value> {
        match self.fails {
            Some(reason)
                if reason == "once"
                    && cx.longhaul().get(cx.id()).await?.found().unwrap().errors.is_empty() =>
            {
                Err(JobError::fatal(reason))
            }
            Some(reason) if reason != "once" => Err(JobError::fatal(reason)),
            _ => Ok(json!({"pages": 3})),
        }
    }
}

const FINE: Work = Work { fails: None };

fn failing() -> Work {
    Work { fails: Some("no paper".into()) }
}

fn harness() -> Harness {
    harness_with(outbound("127.0.0.1"))
}

fn harness_with(outbound: Outbound) -> Harness {
    let mut harness = Harness::new();
    harness.register::<Work>(()).register::<Deliver>(Sender::new(outbound));
    harness
}

fn told(work: &Work, webhook: Webhook) -> NewJob {
    NewJob { webhook: Some(webhook), ..NewJob::of(work).unwrap() }
}

async fn enqueue(harness: &Harness, job: NewJob) -> JobId {
    harness.longhaul().enqueue_one(job).await.unwrap().id
}

async fn deliveries(harness: &Harness, job: &JobId) -> Vec<JobRecord> {
    webhook::deliveries(harness.longhaul().store().as_ref(), job, 100).await.unwrap()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap()
}

fn types(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|seen| body(seen)["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_completed_job_is_told_with_its_output() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("204 No Content")).await, harness());
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/hook")))).await;
    assert_eq!(deliveries(&harness, &id).await[0].state, State::Blocked);
    assert!(receiver.seen().is_empty());
    harness.drain().await;
    let [seen] = &receiver.seen()[..] else { panic!("once: {:?}", receiver.seen()) };
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/hook"));
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(seen.headers["webhook-id"].starts_with("msg_") && !seen.headers["webhook-id"].contains('.'));
    assert!(seen.headers["webhook-timestamp"].parse::<i64>().is_ok());
    assert_eq!(seen.headers.get("webhook-signature"), None, "there is no secret");
    let body = body(seen);
    assert_eq!(body["type"], "job.completed");
    assert_eq!(body["timestamp"], "2026-01-01T00:00:00.000Z");
    let data = &body["data"];
    assert_eq!(data["id"], id.as_str());
    assert_eq!((&data["kind"], &data["state"]), (&json!("work"), &json!("completed")));
    assert_eq!((&data["output"], &data["error"]), (&json!({"pages": 3}), &Value::Null));
    assert_eq!(data.get("args"), None, "args may hold what is nobody's business");
    let [delivery] = &deliveries(&harness, &id).await[..] else { panic!("one") };
    assert_eq!(delivery.state, State::Completed);
    assert_eq!(delivery.output.as_ref().unwrap().to_value()["status"], 204);
}

#[tokio::test]
async fn every_end_of_a_job_is_delivered_however_it_came() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    enqueue(&harness, told(&failing(), Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    let failed = body(&receiver.seen()[0]);
    assert_eq!((&failed["type"], &failed["data"]["error"]), (&json!("job.failed"), &json!("no paper")));

    let cancelled = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    harness.longhaul().cancel(&cancelled).await.unwrap();
    let expiring =
        NewJob { expires_in: Some(Duration::from_secs(5)), ..told(&FINE, Webhook::new(receiver.url("/"))) };
    enqueue(&harness, expiring).await;
    harness.advance(Duration::from_secs(5));
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.failed", "job.cancelled", "job.cancelled"]);
    let mut reasons: Vec<Value> =
        receiver.seen()[1..].iter().map(|seen| body(seen)["data"]["cancel_reason"].clone()).collect();
    reasons.sort_by_key(ToString::to_string);
    assert_eq!(reasons, ["asked", "expired"]);
}

#[tokio::test]
async fn only_the_events_that_were_asked_for_are_told() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let webhook = Webhook { events: vec![WebhookEvent::Failed], ..Webhook::new(receiver.url("/")) };
    let fine = enqueue(&harness, told(&FINE, webhook.clone())).await;
    enqueue(&harness, told(&failing(), webhook)).await;
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.failed"]);
    let skipped = deliveries(&harness, &fine).await[0].output.as_ref().unwrap().to_value();
    assert_eq!(skipped["skipped"], "the webhook does not ask for this event");
}

#[tokio::test]
async fn both_secrets_sign_and_a_new_one_counts_at_once() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let store = harness.longhaul().store().as_ref();
    let secrets = Secrets::of(store);
    let mut made = Vec::new();
    for n in 0..3 {
        let secret = Secret { id: format!("s{n}"), ..Secret::generate(harness.now()) };
        assert_eq!(secrets.add(&secret).await.unwrap() == webhook::Added::Yes, n < 2);
        made.push(secret.secret);
        harness.advance(Duration::from_secs(1));
    }
    enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    let seen = &receiver.seen()[0];
    let signed = |secrets: &[String]| {
        let at = seen.headers["webhook-timestamp"].parse().unwrap();
        sign(secrets.iter().map(String::as_str), &seen.headers["webhook-id"], at, &seen.body)
    };
    assert_eq!(Some(&seen.headers["webhook-signature"]), signed(&made[..2]).as_ref());
    assert_eq!(secrets.delete("s0").await.unwrap().unwrap().id, "s0");
    assert_eq!(secrets.delete("s0").await.unwrap(), None);
    let left: Vec<String> = secrets.list().await.unwrap().into_iter().map(|secret| secret.id).collect();
    assert_eq!(left, ["s1"]);
    let debug = format!("{:?}", secrets.list().await.unwrap());
    assert!(!debug.contains("whsec_"), "{debug}");
}

#[tokio::test]
async fn a_delivery_is_tried_again_with_the_same_message_until_it_is_taken() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::Answer("500 Internal Server Error".into(), "out of\n order".into()),
        1 => Reply::Reset,
        2 => Reply::status("503 Service Unavailable\r\nretry-after: 30"),
        3 => Reply::status("302 Found\r\nlocation: http://169.254.169.254/"),
        _ => Reply::status("200 OK"),
    })
    .await;
    let harness = harness();
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    // Whatever becomes of the job meanwhile.
    harness.longhaul().delete(&id).await.unwrap();
    for wait in [5, 20, 30, 320] {
        harness.advance(Duration::from_secs(wait));
        harness.drain().await;
    }
    let seen = receiver.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|one| one.body == seen[0].body));
    assert!(seen.iter().all(|one| one.headers["webhook-id"] == seen[0].headers["webhook-id"]));
    let delivery = &deliveries(&harness, &id).await[0];
    assert_eq!(delivery.state, State::Completed);
    let errors: Vec<&str> = delivery.errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(errors[0], "the receiver answered 500 Internal Server Error: out of order");
    assert_eq!(errors[2], "the receiver answered 503 Service Unavailable");
    assert!(
        errors[3].contains("redirection to http://169.254.169.254/, which is not followed"),
        "{}",
        errors[3]
    );
    let status: Vec<Option<u16>> = errors.iter().map(|error| webhook::status_in(error)).collect();
    assert_eq!(status, [Some(500), None, Some(503), Some(302)]);
}

#[tokio::test]
async fn a_delivery_that_is_not_accepted_fails_with_its_reason_after_ten_attempts() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("500 No")).await, harness());
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    for _ in 0..12 {
        harness.drain().await;
        harness.advance(Duration::from_secs(6 * 3600));
    }
    assert_eq!(receiver.seen().len(), 10);
    let delivery = &deliveries(&harness, &id).await[0];
    assert_eq!((delivery.state, delivery.errors.len()), (State::Failed, 10));
    let gone = Receiver::start(|_| Reply::status("410 Gone")).await;
    let id = enqueue(&harness, told(&FINE, Webhook::new(gone.url("/")))).await;
    harness.drain().await;
    assert_eq!(deliveries(&harness, &id).await[0].state, State::Failed, "it asks for no more");
}

#[tokio::test]
async fn a_private_receiver_is_refused_at_once_with_what_to_do() {
    let receiver = Receiver::start(|_| Reply::status("200 OK")).await;
    let harness = harness_with(outbound(""));
    for url in [receiver.url("/"), format!("http://localhost:{}/", receiver.address.port())] {
        let id = enqueue(&harness, told(&FINE, Webhook::new(url))).await;
        harness.drain().await;
        let delivery = &deliveries(&harness, &id).await[0];
        assert_eq!((delivery.state, delivery.attempt), (State::Failed, 1));
        let reason = &delivery.errors[0].message;
        assert!(reason.contains("a loopback address; give a public one, or allow it"), "{reason}");
    }
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_duplicate_has_no_delivery_of_its_own() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let keyed = || NewJob { unique: Some(Unique::new("k")), ..told(&FINE, Webhook::new(receiver.url("/"))) };
    let first = enqueue(&harness, keyed()).await;
    assert_eq!(enqueue(&harness, keyed()).await, first);
    // One whose enqueuer died before it could take its delivery away: straight to the store.
    let left = NewJob { id: Some(JobId::new("left").unwrap()), ..keyed() };
    let Enqueued { id, .. } = harness.longhaul().store().enqueue(vec![left.clone()]).await.unwrap().remove(0);
    assert_eq!(id, first);
    let named = NewJob { unique: None, ..left };
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.completed"]);
    let left = deliveries(&harness, &JobId::new("left").unwrap()).await;
    assert!(left[0].output.as_ref().unwrap().as_str().contains("another job stands for this one"));
    // A second job of the same id is the first one, and has that one's delivery.
    let other = NewJob { id: Some(JobId::new("other").unwrap()), ..named };
    enqueue(&harness, other.clone()).await;
    enqueue(&harness, other).await;
    harness.drain().await;
    assert_eq!(types(&receiver).len(), 2);
}

#[tokio::test]
async fn a_repeated_idempotency_key_leaves_the_delivery_of_the_job_that_its_request_names() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let named = |name: &str| {
        let job = told(&FINE, Webhook::new(receiver.url("/")));
        NewJob { id: Some(JobId::new(name).unwrap()), ..job }
    };
    let keyed = |name: &str| {
        let keep_for = Duration::from_secs(3600);
        let idempotency = Idempotency { key: "key".into(), fingerprint: "f".into(), keep_for };
        NewJob { idempotency: Some(idempotency), ..named(name) }
    };
    let first = enqueue(&harness, keyed("first")).await;
    enqueue(&harness, named("second")).await;
    let quiet = enqueue(&harness, NewJob { webhook: None, ..named("quiet") }).await;
    for name in ["second", "quiet", "nobody"] {
        assert_eq!(enqueue(&harness, keyed(name)).await, first, "{name}");
    }
    harness.drain().await;
    let seen = receiver.seen();
    let mut told: Vec<Value> = seen.iter().map(|seen| body(seen)["data"]["id"].clone()).collect();
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["first", "second"]);
    // The one that has no webhook is told to nobody, whoever names it.
    assert_eq!(deliveries(&harness, &quiet).await, []);
    assert_eq!(deliveries(&harness, &JobId::new("nobody").unwrap()).await, []);
}

#[tokio::test]
async fn a_job_that_has_the_id_of_a_removed_one_is_told_too() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let id = JobId::new("daily").unwrap();
    let daily = || NewJob { id: Some(id.clone()), ..told(&FINE, Webhook::new(receiver.url("/"))) };
    for times in 1..=3 {
        enqueue(&harness, daily()).await;
        // A duplicate changes nothing.
        enqueue(&harness, daily()).await;
        harness.drain().await;
        enqueue(&harness, daily()).await;
        harness.drain().await;
        assert_eq!((types(&receiver).len(), deliveries(&harness, &id).await.len()), (times, times));
        harness.longhaul().delete(&id).await.unwrap();
        harness.advance(Duration::from_secs(1));
    }
    let seen = receiver.seen();
    assert_ne!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"], "each is an end of its own");
}

#[tokio::test]
async fn a_job_that_is_run_again_is_told_again_with_another_id() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let once = Work { fails: Some("once".into()) };
    let id = enqueue(&harness, told(&once, Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    assert_eq!(harness.longhaul().retry(&id).await.unwrap(), Done::Yes);
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.failed", "job.completed"]);
    let seen = receiver.seen();
    assert_ne!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"]);
    harness.advance(Duration::from_secs(120));
    harness.drain().await;
    assert_eq!(receiver.seen().len(), 2, "what looked after the retry has found that it was told");
    assert_eq!(harness.longhaul().retry(&id).await.unwrap(), Done::Yes);
    harness.longhaul().cancel(&id).await.unwrap();
    harness.drain().await;
    assert_eq!(types(&receiver)[2..], ["job.cancelled"]);
}

#[tokio::test]
async fn a_retry_whose_caller_died_half_way_is_told_all_the_same() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let id = enqueue(&harness, told(&failing(), Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    let ended = harness.job(&id).last_event;
    let delivery: Delivery = deliveries(&harness, &id).await[0].args.to().unwrap();
    // What such a caller leaves: the look after it, and the job available.
    let check = Delivery { after: Some(ended), ..delivery }.job(".check").unwrap();
    let store = harness.longhaul().store();
    store.act(&longhaul::JobFilter::id(id.clone()), longhaul::Action::Retry, 1).await.unwrap();
    enqueue(&harness, check).await;
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.failed", "job.failed"]);
}

#[tokio::test]
async fn a_delivery_is_sent_again_though_its_job_is_gone() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let store = harness.longhaul().store();
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    let first = webhook::first_id(&id);
    let unfinished = webhook::redeliver(store.as_ref(), &first, None).await.unwrap();
    assert!(matches!(unfinished, Redelivered::Unfinished(_)), "{unfinished:?}");
    harness.drain().await;
    harness.longhaul().delete(&id).await.unwrap();
    let Redelivered::Yes(second) = webhook::redeliver(store.as_ref(), &first, None).await.unwrap() else {
        panic!()
    };
    harness.drain().await;
    let Redelivered::Yes(_) = webhook::redeliver(store.as_ref(), &second, None).await.unwrap() else {
        panic!()
    };
    harness.drain().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|one| one.body == seen[0].body));
    assert!(seen.iter().all(|one| one.headers["webhook-id"] == seen[0].headers["webhook-id"]));
    assert_eq!(deliveries(&harness, &id).await.len(), 3);
    assert_eq!(webhook::redeliver(store.as_ref(), &id, None).await.unwrap(), Redelivered::Unknown);
    let job = enqueue(&harness, NewJob::of(&FINE).unwrap()).await;
    assert_eq!(
        webhook::redeliver(store.as_ref(), &job, None).await.unwrap(),
        Redelivered::Unknown,
        "no delivery"
    );
}

#[tokio::test]
async fn one_idempotency_key_sends_a_message_again_once() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    let store = harness.longhaul().store();
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    let first = webhook::first_id(&id);
    harness.drain().await;
    let again = async |key: &str, fingerprint: &str| {
        let (key, fingerprint) = (key.into(), fingerprint.into());
        let keep_for = Duration::from_secs(60);
        let key = longhaul::Idempotency { key, fingerprint, keep_for };
        webhook::redeliver(store.as_ref(), &first, Some(key)).await.unwrap()
    };
    let Redelivered::Yes(second) = again("k", "f").await else { panic!("it is sent") };
    assert_eq!(again("k", "f").await, Redelivered::Before(second.clone()));
    assert_eq!(again("k", "another").await, Redelivered::KeyReused);
    harness.drain().await;
    assert_eq!(again("k", "f").await, Redelivered::Before(second), "after it was sent, too");
    assert_eq!(receiver.seen().len(), 2);
    let Redelivered::Yes(_) = again("l", "f").await else { panic!("another key is another request") };
    harness.drain().await;
    assert_eq!(receiver.seen().len(), 3);
}

#[tokio::test]
async fn a_job_that_was_removed_before_it_was_told_fails_its_delivery_with_the_reason() {
    let (receiver, mut harness) = (Receiver::start(|_| Reply::status("200 OK")).await, Harness::new());
    harness.register::<Work>(());
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    harness.drain().await;
    harness.longhaul().delete(&id).await.unwrap();
    harness.register::<Deliver>(Sender::new(outbound("127.0.0.1")));
    harness.drain().await;
    let delivery = &deliveries(&harness, &id).await[0];
    assert_eq!(delivery.state, State::Failed);
    assert!(delivery.errors[0].message.contains("deleted before its end could be told"));
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn an_end_is_told_however_short_the_retention_and_however_late_the_delivery() {
    let (receiver, mut harness) = (Receiver::start(|_| Reply::status("200 OK")).await, Harness::new());
    harness.register::<Work>(());
    let at_once = Keep { age: Some(Duration::from_secs(1)), count: Some(0) };
    let retention =
        Retention { completed: at_once.clone(), failed: at_once.clone(), cancelled: at_once.clone() };
    let config = QueueConfig { retention, ..QueueConfig::default() };
    let id = enqueue(&harness, told(&FINE, Webhook::new(receiver.url("/")))).await;
    harness.longhaul().store().set_queue(&harness.job(&id).queue, &config).await.unwrap();
    let other = enqueue(&harness, NewJob::of(&FINE).unwrap()).await;
    harness.drain().await;
    // Nobody serves the queue of deliveries for a week.
    for _ in 0..7 {
        harness.advance(Duration::from_secs(24 * 3600));
        harness.longhaul().store().sweep(1_000).await.unwrap();
    }
    let gone = harness.longhaul().get(&other).await.unwrap();
    assert_eq!(gone, Lookup::Unknown, "a job that nothing depends on is pruned");
    harness.register::<Deliver>(Sender::new(outbound("127.0.0.1")));
    harness.drain().await;
    assert_eq!(types(&receiver), ["job.completed"]);
    assert_eq!(body(&receiver.seen()[0])["data"]["output"], json!({"pages": 3}));
    harness.advance(AWAITED_FOR);
    harness.longhaul().store().sweep(1_000).await.unwrap();
    assert_eq!(harness.longhaul().get(&id).await.unwrap(), Lookup::Gone, "and pruned once it is told");
}

#[tokio::test]
async fn a_large_output_is_left_out_with_its_size() {
    let (receiver, harness) = (Receiver::start(|_| Reply::status("200 OK")).await, harness());
    #[derive(Serialize, Deserialize)]
    struct Large;
    impl Job for Large {
        const KIND: &'static str = "large";
        type State = ();
        type Output = String;
        async fn run(self, _cx: Context<()>) -> JobResult<String> {
            Ok("x".repeat(200_000))
        }
    }
    let mut harness = harness;
    harness.register::<Large>(());
    let job = NewJob { webhook: Some(Webhook::new(receiver.url("/"))), ..NewJob::of(&Large).unwrap() };
    let id = enqueue(&harness, job).await;
    harness.drain().await;
    let data = body(&receiver.seen()[0])["data"].clone();
    assert_eq!(
        (&data["output"], &data["output_cut"], &data["output_bytes"]),
        (&Value::Null, &json!(true), &json!(200_002))
    );
    let again =
        webhook::redeliver(harness.longhaul().store().as_ref(), &webhook::first_id(&id), None).await.unwrap();
    assert!(matches!(again, Redelivered::Yes(_)));
}

#[test]
fn the_kind_of_deliveries_is_known_to_the_engine() {
    assert_eq!((Deliver::KIND, Deliver::QUEUE), (webhook::KIND, webhook::QUEUE));
}
