//! What a caller that waits for the end of a job asks of the store meanwhile.

use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Call, Intercept};
use longhaul::{Longhaul, MemoryStore, State};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use crate::script::{Script, enqueue, within, worker};

const CHUNKS: usize = 20;

#[tokio::test]
async fn a_caller_that_waits_looks_at_the_job_twice_however_much_it_writes_to_its_log() {
    let (called, mut calls) = mpsc::unbounded_channel();
    let store = Intercept::new(MemoryStore::new(), move |store, call| {
        let _ = called.send(call.clone());
        async move { call.on(store.as_ref()).await }
    });
    let longhaul = Longhaul::new(store);
    let (go, going) = mpsc::unbounded_channel();
    let going = Arc::new(Mutex::new(going));
    let script = Script::new(move |_, cx| {
        let going = Arc::clone(&going);
        async move {
            while going.lock().await.recv().await.is_some() {
                cx.emit("a chunk").await?;
            }
            Ok(Value::Null)
        }
    });
    let worker = worker(&longhaul, script).start();
    let id = enqueue(&longhaul, 1).await;
    let waiting = longhaul.wait(&id, Duration::from_secs(3_600));
    tokio::pin!(waiting);
    // The job writes a chunk each time that the caller waits for one, so that it is woken by each.
    let (mut looks, mut left, mut go) = (0, CHUNKS, Some(go));
    let ended = async {
        loop {
            tokio::select! {
                biased;
                Some(call) = calls.recv() => match call {
                    Call::Get(_) => looks += 1,
                    Call::Events(..) if left > 0 => {
                        left -= 1;
                        go.as_ref().unwrap().send(()).unwrap();
                    }
                    Call::Events(..) => go = None,
                    _ => {}
                },
                ended = &mut waiting => return ended,
            }
        }
    };
    let record = within("the end", ended).await.unwrap().found().unwrap();
    // The last look may have been answered at once.
    while let Ok(call) = calls.try_recv() {
        looks += usize::from(matches!(call, Call::Get(_)));
    }
    assert_eq!((record.state, looks), (State::Completed, 2));
    worker.shutdown(Duration::from_secs(60)).await;
}
