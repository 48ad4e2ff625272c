//! An answer that is streamed is said once, whatever becomes of the stream.

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use house::{House, later, run};
use tokio::sync::Semaphore;
use toq_actors::handler::{NoHandlers, Order, Reaction, Running, Streamed, Work, Workshop};
use toq_actors::workspace::{OpenStream, SetMode, StreamChunk};
use toq_config::{ConnectionMode, HandlerConfig};
use toq_protocol::Kind;
use toq_protocol::policy::Mode;
use toq_store::Seq;
use toq_store::record::{Direction, State};

const SECOND: Duration = Duration::from_secs(1);

/// Streams the beginning of an answer, waits for a word of the test, and says the whole.
struct Speaker {
    go_on: Semaphore,
    runs: AtomicU32,
    closes: bool,
}

struct Stage(Arc<Speaker>);

impl Work for Stage {
    fn run(&self, order: Order) -> Running {
        let speaker = self.0.clone();
        Box::pin(async move {
            speaker.runs.fetch_add(1, Ordering::SeqCst);
            let (to, thread_id) = (order.message.from.clone(), order.message.thread_id.clone());
            let stream_id = format!("s{}", order.attempt);
            let open = OpenStream { to, thread_id, stream_id: Some(stream_id.clone()), only: order.peer };
            order.workspace.send(open).await.expect("alive").expect("reached");
            let chunk = StreamChunk { stream_id: stream_id.clone(), text: "The begin ".to_owned() };
            order.workspace.send(chunk).await.expect("alive").expect("taken");
            speaker.go_on.acquire().await.expect("open").forget();
            let stream = Some(Streamed { stream_id, rest: Some("and the end".to_owned()) });
            Ok(Reaction::Answer { text: "The begin and the end".to_owned(), close_thread: speaker.closes, stream })
        })
    }
}

struct Bench(Arc<Speaker>);

impl Workshop for Bench {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        Ok(vec![HandlerConfig { name: "h".to_owned(), command: "true".to_owned(), ..HandlerConfig::default() }])
    }

    fn work(&self, _: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        Ok(Arc::new(Stage(self.0.clone())))
    }
}

async fn begun(closes: bool) -> (House, Arc<Speaker>) {
    let speaker = Arc::new(Speaker { go_on: Semaphore::new(0), runs: AtomicU32::new(0), closes });
    let house = House::with_workshops(ConnectionMode::Open, Arc::new(NoHandlers), Arc::new(Bench(speaker.clone()))).await;
    house.alice.send_in(&house.bob.address, "t", "write").await;
    later(SECOND).await;
    (house, speaker)
}

/// What came in at alice: type and text.
fn heard(house: &House) -> Vec<(Kind, String)> {
    let rows = house.alice.workspace.home.store.reader().messages_after(Seq(0), 100).expect("reads");
    let messages = rows.into_iter().filter(|(_, row)| row.direction() == Direction::In).map(|(_, row)| row.message().expect("a message"));
    messages.map(|message| (message.kind, message.body.and_then(|body| body.text()).unwrap_or_default())).collect()
}

/// What bob knows of the answers that he sent.
fn sent(house: &House) -> Vec<(String, State)> {
    let reader = house.bob.workspace.home.store.reader();
    let rows = reader.messages_after(Seq(0), 100).expect("reads").into_iter().filter(|(_, row)| row.direction() == Direction::Out);
    let entries = rows.map(|(seq, _)| reader.entry(seq).expect("reads").expect("there"));
    entries
        .map(|entry| (entry.row.message().expect("a message").body.and_then(|body| body.text()).unwrap_or_default(), entry.state.state))
        .collect()
}

#[test]
fn the_end_of_the_stream_is_the_answer_and_no_second_one_follows() {
    run(async {
        let (house, speaker) = begun(false).await;

        speaker.go_on.add_permits(1);
        later(SECOND * 600).await;

        let whole = "The begin and the end".to_owned();
        assert_eq!(heard(&house), [(Kind::MessageStreamEnd, whole.clone())]);
        assert_eq!(sent(&house), [(whole, State::Delivered)]);
        let aborted = house.alice.events().into_iter().chain(house.bob.events()).filter(|(kind, ..)| kind == "stream.aborted").count();
        assert_eq!((aborted, speaker.runs.load(Ordering::SeqCst)), (0, 1));
    });
}

#[test]
fn a_stream_that_is_lost_before_its_end_is_followed_by_the_whole_answer_once() {
    run(async {
        let (house, speaker) = begun(false).await;
        for mode in [Mode::Allowlist, Mode::Open] {
            house.alice.workspace.address().send(SetMode(mode)).await.expect("alive");
            later(SECOND).await;
        }

        speaker.go_on.add_permits(1);
        later(SECOND * 600).await;

        let whole = "The begin and the end".to_owned();
        assert_eq!(heard(&house).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), std::slice::from_ref(&whole));
        assert_eq!(sent(&house), [(whole, State::Delivered)]);
        assert_eq!(speaker.runs.load(Ordering::SeqCst), 1, "nobody is asked a second time");
    });
}

#[test]
fn an_answer_that_was_complete_waits_in_the_log_while_nobody_is_reached() {
    run(async {
        let (house, speaker) = begun(false).await;
        house.wire.cut(true);
        house.alice.workspace.address().send(SetMode(Mode::Allowlist)).await.expect("alive");
        later(SECOND).await;

        speaker.go_on.add_permits(1);
        later(SECOND * 600).await;
        assert_eq!(sent(&house).into_iter().map(|(_, state)| state).collect::<Vec<_>>(), [State::Accepted]);
        house.alice.workspace.address().send(SetMode(Mode::Open)).await.expect("alive");
        house.wire.cut(false);
        later(SECOND * 600).await;

        assert_eq!(heard(&house), [(Kind::MessageSend, "The begin and the end".to_owned())]);
        assert_eq!(speaker.runs.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_streamed_answer_that_closes_its_conversation_is_followed_by_the_close() {
    run(async {
        let (house, speaker) = begun(true).await;

        speaker.go_on.add_permits(1);
        later(SECOND * 60).await;

        let kinds: Vec<Kind> = heard(&house).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::MessageStreamEnd, Kind::ThreadClose]);
    });
}
