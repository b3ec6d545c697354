//! The place in a trace that a job carries from whoever enqueues it to whoever runs it, in a process that traces nothing.

use longhaul::trace::{current, within};
use longhaul::{JobId, Json, NewJob, State, TraceParent};
use serde_json::json;

use crate::script::{Script, enqueue, longhaul, record, until, worker};

fn place() -> TraceParent {
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap()
}

#[tokio::test]
async fn a_job_carries_its_place_and_so_does_what_follows_from_it() {
    let (longhaul, _clock) = longhaul();
    let script = Script::new(|_, cx| async move {
        assert_eq!(current(), cx.traceparent());
        let follow_up =
            NewJob { id: Some(JobId::new("next").unwrap()), ..NewJob::new("other", Json::null()) };
        cx.follow_up(follow_up)?;
        Ok(json!(cx.traceparent()))
    });
    let _worker = worker(&longhaul, script).start();
    let id = within(place(), enqueue(&longhaul, 1)).await;
    let job = until(&longhaul, &id, State::Completed).await;
    assert_eq!(job.policy.traceparent, Some(place()));
    assert_eq!(job.output.unwrap().as_str(), format!("\"{}\"", place()));
    let next = record(&longhaul, &JobId::new("next").unwrap()).await;
    assert_eq!(next.policy.traceparent, Some(place()));
}

#[tokio::test]
async fn a_job_that_is_enqueued_outside_of_all_traces_has_no_place() {
    let (longhaul, _clock) = longhaul();
    let _worker = worker(&longhaul, Script::new(|_, cx| async move { Ok(json!(cx.traceparent())) })).start();
    let id = enqueue(&longhaul, 1).await;
    let job = until(&longhaul, &id, State::Completed).await;
    assert_eq!((job.policy.traceparent, job.output.unwrap().as_str()), (None, "null"));
    assert_eq!(current(), None);
}
