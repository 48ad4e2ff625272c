//! Handlers: which messages they take, how often, how many at a time, and what becomes of those that fail.

mod house;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use house::{Agent, House, run};
use toq_actors::handler::{Condition, HandlerName, Order, Reaction, RunError, Running, Stop, Work, Workshop};
use toq_actors::workspace::{LeftBehind, Reload, Respond, RotateKeys, Send, ShowHandlers, Tell, Told, TryAgain};
use toq_config::{ConnectionMode, HandlerConfig};
use toq_protocol::Kind;
use toq_protocol::canonical::Json;
use toq_store::batch::Change;

/// What is done with a text, by its first word.
#[derive(Default)]
struct Script {
    definitions: Mutex<Vec<HandlerConfig>>,
    /// How often each text was tried.
    tried: Mutex<HashMap<String, u32>>,
    done: Mutex<Vec<String>>,
    active: AtomicUsize,
    most: AtomicUsize,
    answers: AtomicBool,
}

impl Script {
    fn new(definitions: Vec<HandlerConfig>) -> Arc<Self> {
        Arc::new(Self { definitions: Mutex::new(definitions), ..Self::default() })
    }

    fn answering(definition: HandlerConfig) -> Arc<Self> {
        let script = Self::new(vec![definition]);
        script.answers.store(true, Ordering::SeqCst);
        script
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().expect("not poisoned").clone()
    }

    fn tried(&self, text: &str) -> u32 {
        self.tried.lock().expect("not poisoned").get(text).copied().unwrap_or_default()
    }

    /// Waits for the paused clock until this many texts are done.
    async fn has_done(&self, count: usize) {
        for _ in 0..10_000 {
            if self.done().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?} are not {count}", self.done());
    }
}

struct Player(Arc<Script>);

/// Counts a run for as long as it lives.
struct Active(Arc<Script>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Work for Player {
    fn run(&self, order: Order) -> Running {
        let script = self.0.clone();
        let text = order.message.body.as_ref().and_then(Json::text).unwrap_or_default();
        Box::pin(async move {
            *script.tried.lock().expect("not poisoned").entry(text.clone()).or_default() += 1;
            let now = script.active.fetch_add(1, Ordering::SeqCst) + 1;
            script.most.fetch_max(now, Ordering::SeqCst);
            let _active = Active(script.clone());
            order.process.send_replace(Some(order.attempt));
            match text.split(' ').next().unwrap_or_default() {
                "fail" => return Err(RunError::Failed("as told".to_owned())),
                "once" if order.attempt == 1 => return Err(RunError::Failed("the first time".to_owned())),
                "panic" => panic!("as told"),
                "break" if order.attempt == 1 && script.tried(&text) == 1 => return Err(RunError::Broken("no key".to_owned())),
                "hang" => std::future::pending().await,
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
            script.done.lock().expect("not poisoned").push(text.clone());
            let answer = Reaction::Answer { text, close_thread: false, stream: None };
            Ok(if script.answers.load(Ordering::SeqCst) { answer } else { Reaction::Nothing })
        })
    }
}

/// The workshop of a script.
struct Stage(Arc<Script>);

impl Workshop for Stage {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        Ok(self.0.definitions.lock().expect("not poisoned").clone())
    }

    fn work(&self, _: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        Ok(Arc::new(Player(self.0.clone())))
    }
}

fn definition(name: &str) -> HandlerConfig {
    HandlerConfig { name: name.to_owned(), command: "true".to_owned(), ..HandlerConfig::default() }
}

async fn bob_with(script: &Arc<Script>) -> House {
    let idle = Script::new(Vec::new());
    House::with_workshops(ConnectionMode::Open, Arc::new(Stage(idle)), Arc::new(Stage(script.clone()))).await
}

async fn settle(agent: &Agent) {
    let _alive = agent.workspace.address().send(ShowHandlers).await.expect("alive");
    tokio::time::sleep(Duration::from_secs(120)).await;
}

async fn tell(agent: &Agent, what: Told) -> Option<usize> {
    agent.workspace.address().send(Tell { handler: HandlerName("h".to_owned()), what }).await.expect("alive")
}

#[test]
fn every_message_is_handled_once_and_no_more_run_than_there_are_seats() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;

        for number in 0..40 {
            house.alice.send_in(&house.bob.address, &format!("t{number}"), &format!("m{number}")).await;
        }
        script.has_done(40).await;
        settle(&house.bob).await;

        let mut done = script.done();
        done.sort();
        done.dedup();
        assert_eq!((done.len(), script.done().len()), (40, 40));
        assert_eq!(script.most.load(Ordering::SeqCst), 4);
        let place = house.bob.workspace.home.store.reader().consumer("handler:h").expect("reads").expect("there");
        assert!(place.stretches().is_empty() && place.low_water > 0);
    });
}

#[test]
fn messages_of_one_conversation_are_handled_one_after_the_other() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;

        for text in ["a", "once b", "c"] {
            house.alice.send_in(&house.bob.address, "t", text).await;
        }
        script.has_done(3).await;

        assert_eq!(script.done(), ["a", "once b", "c"]);
        assert_eq!((script.most.load(Ordering::SeqCst), script.tried("once b")), (1, 2));
    });
}

#[test]
fn what_fails_too_often_is_set_aside_and_nothing_is_skipped_around_it() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;

        for (thread, text) in [("1", "before"), ("2", "fail it"), ("2", "behind"), ("3", "after")] {
            house.alice.send_in(&house.bob.address, thread, text).await;
        }
        script.has_done(3).await;
        settle(&house.bob).await;

        assert_eq!(script.tried("fail it"), 3);
        let reader = house.bob.workspace.home.store.reader();
        let aside = reader.set_aside("handler:h", 10).expect("reads");
        assert_eq!((aside.len(), aside[0].1.attempts, aside[0].1.reason.as_str()), (1, 3, "handler h: as told"));
        let id = aside[0].0.row.id().to_string();
        let events = house.bob.events();
        assert!(events.contains(&("handler.set_aside".to_owned(), id, "handler h: as told".to_owned())), "{events:?}");
        assert_eq!(reader.unconfirmed(&reader.consumer("handler:h").expect("reads").expect("there")).expect("reads"), 0);
    });
}

#[test]
fn a_message_that_takes_the_actor_down_is_set_aside_and_the_handler_lives_on() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;

        house.alice.send_in(&house.bob.address, "1", "panic now").await;
        settle(&house.bob).await;
        house.alice.send_in(&house.bob.address, "2", "after").await;
        script.has_done(1).await;

        assert_eq!((script.done(), script.tried("panic now")), (vec!["after".to_owned()], 3));
        assert_eq!(house.bob.workspace.home.store.reader().set_aside("handler:h", 10).expect("reads").len(), 1);
    });
}

#[test]
fn a_broken_handler_rests_until_it_is_resumed_and_the_attempt_does_not_count() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        house.alice.send_in(&house.bob.address, "1", "break it").await;
        settle(&house.bob).await;
        let shown = house.bob.workspace.address().send(ShowHandlers).await.expect("alive");
        assert_eq!(shown[0].condition, Condition::Broken("no key".to_owned()));

        tell(&house.bob, Told::Resume).await;
        script.has_done(1).await;

        assert_eq!(script.tried("break it"), 2);
        assert!(house.bob.workspace.home.store.reader().set_aside("handler:h", 10).expect("reads").is_empty());
    });
}

#[test]
fn a_paused_handler_begins_nothing_and_forgets_nothing() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        tell(&house.bob, Told::Pause).await;
        house.alice.send_in(&house.bob.address, "1", "one").await;
        settle(&house.bob).await;
        assert!(script.done().is_empty());

        tell(&house.bob, Told::Resume).await;
        script.has_done(1).await;

        assert_eq!(script.done(), ["one"]);
    });
}

#[test]
fn a_stopped_run_ends_at_once_and_its_message_is_set_aside() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        for thread in ["1", "2"] {
            house.alice.send_in(&house.bob.address, thread, "hang on").await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(script.active.load(Ordering::SeqCst), 2);

        let none = tell(&house.bob, Told::Stop(Stop { process: Some(999) })).await;
        let all = tell(&house.bob, Told::Stop(Stop { process: None })).await;
        tokio::time::sleep(Duration::from_secs(1)).await;

        assert_eq!((none, all), (Some(0), Some(2)));
        assert_eq!(script.active.load(Ordering::SeqCst), 0);
        let aside = house.bob.workspace.home.store.reader().set_aside("handler:h", 10).expect("reads");
        assert_eq!((aside.len(), aside[0].1.reason.as_str()), (2, "handler h: stopped by its owner"));
    });
}

#[test]
fn a_new_handler_begins_at_the_end_of_the_log_and_a_known_one_where_it_was() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        house.alice.send_in(&house.bob.address, "1", "hang first").await;
        tokio::time::sleep(Duration::from_secs(5)).await;

        *script.definitions.lock().expect("not poisoned") = vec![definition("h"), definition("late")];
        house.bob.workspace.address().send(Reload).await.expect("alive").expect("arranged");
        house.alice.send_in(&house.bob.address, "2", "second").await;
        script.has_done(2).await;
        settle(&house.bob).await;

        assert_eq!(script.done(), ["second", "second"]);
        assert_eq!(script.tried("hang first"), 1);
    });
}

#[test]
fn an_orderly_end_gives_the_attempt_back() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        let sent = house.alice.send_in(&house.bob.address, "1", "hang on").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let store = &house.bob.workspace.home.store;
        let seq = store.reader().find_incoming(&sent.id).expect("reads").expect("came in");
        assert_eq!(store.reader().offers("handler:h", seq).expect("reads"), 1);

        let drain = toq_kit::Drain { grace: Duration::from_secs(10) };
        house.bob.workspace.address().send(drain).await.expect("drained");

        assert_eq!((store.reader().offers("handler:h", seq).expect("reads"), script.active.load(Ordering::SeqCst)), (0, 0));
        assert_eq!(store.reader().set_aside("handler:h", 10).expect("reads").len(), 0);
    });
}

#[test]
fn only_what_a_filter_wants_is_handled_and_a_close_only_where_it_is_asked_for() {
    run(async {
        let picky = HandlerConfig { filter_from: vec!["toq://elsewhere/*".to_owned()], ..definition("picky") };
        let closing = HandlerConfig { filter_type: vec!["thread.close".to_owned()], ..definition("closing") };
        let script = Script::new(vec![picky, closing]);
        let house = bob_with(&script).await;

        house.alice.send_in(&house.bob.address, "1", "not for them").await;
        let close = Send {
            to: vec![house.bob.address.clone()],
            kind: Kind::ThreadClose,
            body: Some(Json::from_text("bye")),
            thread_id: Some("1".to_owned()),
            reply_to: None,
            content_type: None,
            idempotency: None,
            patience: toq_actors::workspace::Patience::Accepted,
            origin: toq_actors::workspace::Origin::Owner,
        };
        house.alice.workspace.address().send(close).await.expect("alive").expect("accepted");
        script.has_done(1).await;
        settle(&house.bob).await;

        assert_eq!(script.done(), ["bye"]);
        let reader = house.bob.workspace.home.store.reader();
        let place = reader.consumer("handler:picky").expect("reads").expect("there");
        assert_eq!(reader.unconfirmed(&place).expect("reads"), 0);
    });
}

#[test]
fn a_filter_that_names_a_key_means_the_agent_also_after_it_has_replaced_it() {
    run(async {
        let alice = toq_protocol::Identity::from_seed(&["alice".len() as u8; 32]).public();
        let script = Script::new(vec![HandlerConfig { filter_key: vec![alice.to_string()], ..definition("h") }]);
        let house = bob_with(&script).await;
        let nowhere = toq_protocol::address::Address::parse("toq://127.0.0.1:9999/mallory").expect("valid");
        let mallory = house.impostor("mallory", &nowhere, 77).await;
        house.alice.send_in(&house.bob.address, "1", "before").await.settled.expect("asked for").await.expect("told");

        house.alice.workspace.address().send(RotateKeys).await.expect("alive").expect("rotated");
        mallory.send_in(&house.bob.address, "2", "not alice").await;
        house.alice.send_in(&house.bob.address, "3", "after").await;
        script.has_done(2).await;
        settle(&house.bob).await;

        assert_ne!(house.alice.workspace.home.local().identity.public(), alice);
        assert_eq!(script.done(), ["before", "after"]);
    });
}

#[test]
fn two_agents_that_answer_everything_stop_within_ten_turns_and_say_so() {
    run(async {
        let (alices, bobs) = (Script::answering(definition("h")), Script::answering(definition("h")));
        let house = House::with_workshops(ConnectionMode::Open, Arc::new(Stage(alices.clone())), Arc::new(Stage(bobs.clone()))).await;

        house.alice.send_in(&house.bob.address, "t", "hello").await;
        settle(&house.bob).await;

        assert_eq!(alices.done().len() + bobs.done().len(), 10);
        let paused = ("thread.paused".to_owned(), "t".to_owned(), "loop_suspected".to_owned());
        let events = [house.alice.events(), house.bob.events()].concat();
        assert_eq!(events.iter().filter(|event| **event == paused).count(), 1, "{events:?}");

        house.alice.send_in(&house.bob.address, "t", "a person again").await;
        settle(&house.bob).await;
        assert_eq!(alices.done().len() + bobs.done().len(), 20);
    });
}

#[test]
fn an_answer_is_sent_once_however_often_it_is_committed() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        let sent = house.alice.send_in(&house.bob.address, "t", "hang on").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let home = &house.bob.workspace.home;
        let seq = home.store.reader().find_incoming(&sent.id).expect("reads").expect("came in");
        let answer = || Respond {
            send: Send {
                to: vec![house.alice.address.clone()],
                kind: Kind::MessageSend,
                body: Some(Json::from_text("the answer")),
                thread_id: Some("t".to_owned()),
                reply_to: None,
                content_type: None,
                idempotency: None,
                patience: toq_actors::workspace::Patience::Accepted,
                origin: toq_actors::workspace::Origin::Owner,
            },
            close: None,
            stream: None,
            hops: 1,
            consumer: "handler:h".to_owned(),
            seq,
        };

        for _ in 0..3 {
            house.bob.workspace.address().send(answer()).await.expect("alive").expect("committed");
        }
        tell(&house.bob, Told::Stop(Stop { process: None })).await;
        settle(&house.bob).await;

        assert_eq!(house.alice.inbox(), ["the answer"]);
        let aside = home.store.reader().set_aside("handler:h", 10).expect("reads");
        assert!(aside.is_empty(), "what was answered when its run was cut is not offered for another answer: {aside:?}");
    });
}

#[test]
fn a_peer_that_cannot_be_reached_takes_its_share_of_the_queue_and_holds_nobody_up() {
    run(async {
        let script = Script::answering(definition("h"));
        let house = House::with_bob_keeping(3, Arc::new(Stage(script.clone()))).await;
        let nowhere = toq_protocol::address::Address::parse("toq://127.0.0.1:9999/mallory").expect("valid");
        let mallory = house.impostor("mallory", &nowhere, 77).await;

        for number in 0..10 {
            mallory.send_in(&house.bob.address, &format!("t{number}"), &format!("m{number}")).await;
        }
        house.alice.send_in(&house.bob.address, "t", "hello").await;
        settle(&house.bob).await;

        assert_eq!(house.alice.inbox(), ["hello"]);
        let reader = house.bob.workspace.home.store.reader();
        assert_eq!(reader.waiting().expect("reads"), 3);
        let told: Vec<_> = house.bob.events().into_iter().filter(|(kind, ..)| kind == "handler.set_aside").collect();
        assert_eq!(told.len(), 7);
        assert!(told.iter().all(|(_, _, reason)| reason.contains("3 messages wait for that address")), "{told:?}");
        let place = reader.consumer("handler:h").expect("reads").expect("there");
        assert_eq!(reader.unconfirmed(&place).expect("reads"), 0, "its place moves on");
        house.bob.send_in(&nowhere, "own", "the owner's own message has room").await;
    });
}

#[test]
fn an_answer_goes_to_the_key_that_wrote_and_to_nobody_else_at_the_address_that_it_claimed() {
    run(async {
        let script = Script::answering(definition("h"));
        let house = bob_with(&script).await;
        let mallory = house.impostor("mallory", &house.alice.address, 77).await;

        mallory.send_in(&house.bob.address, "t", "tell alice to pay").await;
        script.has_done(1).await;
        settle(&house.bob).await;
        assert_eq!(house.alice.inbox(), Vec::<String>::new());
        let events = house.bob.events();
        let refused =
            |(kind, _, reason): &&(String, String, String)| kind == "message.rejected" && reason.contains("another agent answers");
        assert_eq!(events.iter().filter(refused).count(), 1, "{events:?}");

        house.alice.send_in(&house.bob.address, "t2", "and mine").await;
        house.alice.has_received(1).await;
        assert_eq!(house.alice.inbox(), ["and mine"]);
    });
}

#[test]
fn an_answer_follows_the_agent_that_has_replaced_its_key_meanwhile() {
    run(async {
        let script = Script::answering(definition("h"));
        let house = bob_with(&script).await;
        tell(&house.bob, Told::Pause).await;
        house.alice.send_in(&house.bob.address, "t", "before").await.settled.expect("asked for").await.expect("told");
        house.alice.workspace.address().send(RotateKeys).await.expect("alive").expect("rotated");

        tell(&house.bob, Told::Resume).await;

        assert_eq!(house.alice.has_received(1).await, ["before"]);
    });
}

#[test]
fn a_filter_that_names_an_address_means_the_agent_that_is_there_and_not_who_claims_it() {
    run(async {
        let place = toq_protocol::address::Address::parse("toq://127.0.0.1:9101/alice").expect("valid");
        let picky = HandlerConfig { filter_from: vec![place.wire()], ..definition("h") };
        let script = Script::new(vec![picky]);
        let house = bob_with(&script).await;
        let mallory = house.impostor("mallory", &house.alice.address, 77).await;

        mallory.send_in(&house.bob.address, "1", "pay mallory").await;
        house.alice.send_in(&house.bob.address, "2", "really alice").await;
        script.has_done(1).await;
        settle(&house.bob).await;

        assert_eq!(house.alice.address, place);
        assert_eq!(script.done(), ["really alice"]);
    });
}

async fn define(house: &House, script: &Arc<Script>, definitions: Vec<HandlerConfig>) -> Vec<LeftBehind> {
    *script.definitions.lock().expect("not poisoned") = definitions;
    house.bob.workspace.address().send(Reload).await.expect("alive").expect("arranged")
}

#[test]
fn a_handler_that_is_switched_off_and_on_goes_on_with_what_waited_and_not_with_what_came_meanwhile() {
    run(async {
        let one_at_a_time = HandlerConfig { concurrency: 1, ..definition("h") };
        let off = HandlerConfig { enabled: false, ..one_at_a_time.clone() };
        let script = Script::new(vec![one_at_a_time.clone()]);
        let house = bob_with(&script).await;
        let running = house.alice.send_in(&house.bob.address, "1", "hang first").await;
        running.settled.expect("asked for").await.expect("told");
        house.alice.send_in(&house.bob.address, "2", "waits").await.settled.expect("asked for").await.expect("told");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(script.active.load(Ordering::SeqCst), 1);

        define(&house, &script, vec![off.clone()]).await;
        house.alice.send_in(&house.bob.address, "3", "meanwhile").await.settled.expect("asked for").await.expect("told");
        define(&house, &script, vec![off]).await;
        assert_eq!(script.active.load(Ordering::SeqCst), 0);
        define(&house, &script, vec![HandlerConfig { concurrency: 4, ..one_at_a_time }]).await;
        house.alice.send_in(&house.bob.address, "4", "after").await;
        script.has_done(2).await;
        settle(&house.bob).await;

        let mut done = script.done();
        done.sort();
        assert_eq!(done, ["after", "waits"]);
        assert_eq!(script.tried("hang first"), 2, "what ran is tried again");
        let reader = house.bob.workspace.home.store.reader();
        let place = reader.consumer("handler:h").expect("reads").expect("there");
        assert_eq!(reader.unconfirmed(&place).expect("reads"), 1, "only what hangs is open: {place:?}");
    });
}

#[test]
fn a_handler_that_is_removed_says_what_it_leaves_behind() {
    run(async {
        let script = Script::new(vec![definition("h"), definition("other")]);
        let house = bob_with(&script).await;
        for (thread, text) in [("1", "hang on"), ("1", "waits"), ("2", "fail it")] {
            house.alice.send_in(&house.bob.address, thread, text).await.settled.expect("asked for").await.expect("told");
        }
        settle(&house.bob).await;

        let left = define(&house, &script, vec![definition("other")]).await;
        let nothing = define(&house, &script, vec![definition("other")]).await;

        assert_eq!(left, [LeftBehind { handler: HandlerName("h".to_owned()), unhandled: 2, set_aside: 1 }]);
        assert_eq!(nothing, []);
        let told = ("handler.removed".to_owned(), "h".to_owned(), "removed with 2 message(s) unhandled and 1 set aside".to_owned());
        assert!(house.bob.events().contains(&told), "{:?}", house.bob.events());
    });
}

#[test]
fn a_filter_that_becomes_narrower_holds_for_what_waits_but_not_for_what_its_owner_asked_for() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        house.alice.send_in(&house.bob.address, "1", "fail it").await;
        settle(&house.bob).await;
        tell(&house.bob, Told::Pause).await;
        house.alice.send_in(&house.bob.address, "2", "waits").await.settled.expect("asked for").await.expect("told");
        settle(&house.bob).await;
        let reader = house.bob.workspace.home.store.reader();
        let aside: Vec<_> = reader.set_aside("handler:h", 10).expect("reads").iter().map(|(entry, _)| entry.seq).collect();
        let again = TryAgain { handler: HandlerName("h".to_owned()), messages: aside };
        house.bob.workspace.address().send(again).await.expect("alive").expect("commits").expect("known");

        define(&house, &script, vec![HandlerConfig { filter_from: vec!["toq://elsewhere/*".to_owned()], ..definition("h") }]).await;
        tell(&house.bob, Told::Resume).await;
        settle(&house.bob).await;

        assert_eq!((script.tried("waits"), script.tried("fail it")), (0, 6));
        let place = reader.consumer("handler:h").expect("reads").expect("there");
        assert_eq!(reader.unconfirmed(&place).expect("reads"), 0);
    });
}

#[test]
fn one_long_conversation_that_does_not_go_on_keeps_nobody_elses_messages_from_being_handled() {
    run(async {
        let script = Script::new(vec![definition("h")]);
        let house = bob_with(&script).await;
        house.alice.send_in(&house.bob.address, "long", "hang first").await;
        for number in 0..1_100 {
            house.alice.send_in(&house.bob.address, "long", &format!("m{number:04}")).await;
        }
        house.alice.send_in(&house.bob.address, "other", "another").await.settled.expect("asked for").await.expect("told");
        script.has_done(1).await;
        assert_eq!(script.done(), ["another"]);

        tell(&house.bob, Told::Stop(Stop { process: None })).await;
        script.has_done(600).await;
        script.has_done(1_101).await;
        settle(&house.bob).await;

        let expected: Vec<String> = (0..1_100).map(|number| format!("m{number:04}")).collect();
        assert_eq!(script.done()[1..], expected, "each once, in order");
        let reader = house.bob.workspace.home.store.reader();
        let place = reader.consumer("handler:h").expect("reads").expect("there");
        assert_eq!(reader.unconfirmed(&place).expect("reads"), 0);
    });
}

#[test]
fn what_the_daemon_did_not_survive_too_often_is_set_aside_unread() {
    run(async {
        let script = Script::new(Vec::new());
        let house = bob_with(&script).await;
        let journal = house.bob.workspace.home.store.journal().clone();
        journal.commit(toq_store::Batch::new(vec![Change::AddConsumer("handler:h".to_owned(), toq_store::Seq(0))])).await.expect("commits");
        let sent = house.alice.send_in(&house.bob.address, "1", "poison").await;
        sent.settled.expect("asked for").await.expect("told");
        let seq = house.bob.workspace.home.store.reader().find_incoming(&sent.id).expect("reads").expect("came in");
        let offer = Change::Offer("handler:h".to_owned(), vec![seq]);
        journal.commit(toq_store::Batch::new(vec![offer.clone(), offer.clone(), offer])).await.expect("commits");

        *script.definitions.lock().expect("not poisoned") = vec![definition("h")];
        house.bob.workspace.address().send(Reload).await.expect("alive").expect("arranged");
        settle(&house.bob).await;

        assert_eq!(script.tried("poison"), 0);
        assert_eq!(house.bob.workspace.home.store.reader().set_aside("handler:h", 10).expect("reads").len(), 1);
    });
}
