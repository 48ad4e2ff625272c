//! Each manner, proven against real actix.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, Recipient};
use actix_rt::{Arbiter, System};
use tokio::sync::mpsc;
use toq_kit::{Clock, Credit, Drain, Exited, Fate, How, Lifeline, Permit, Roster, Seat, ask, drain};

struct Parent {
    exits: mpsc::Sender<Exited<&'static str>>,
}

impl Actor for Parent {
    type Context = Context<Self>;
}

impl Handler<Exited<&'static str>> for Parent {
    type Result = ();

    fn handle(&mut self, exited: Exited<&'static str>, _: &mut Self::Context) {
        self.exits.try_send(exited).expect("the test reads");
    }
}

struct Child {
    #[expect(dead_code, reason = "held for its drop")]
    permit: Option<Permit>,
    lifeline: Lifeline<&'static str>,
}

impl Actor for Child {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Add(u32);

impl Handler<Add> for Child {
    type Result = u32;

    fn handle(&mut self, add: Add, _: &mut Self::Context) -> u32 {
        add.0 + 1
    }
}

#[derive(Message)]
#[rtype(result = "()")]
enum Order {
    Finish,
    Panic,
    Stop,
}

impl Handler<Order> for Child {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Self::Context) {
        use actix::ActorContext as _;
        match order {
            Order::Finish => {
                self.lifeline.finish();
                ctx.stop();
            }
            Order::Panic => panic!("ordered"),
            Order::Stop => ctx.stop(),
        }
    }
}

impl Handler<Drain> for Child {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        use actix::ActorContext as _;
        ctx.stop();
    }
}

fn parent() -> (Recipient<Exited<&'static str>>, mpsc::Receiver<Exited<&'static str>>) {
    let (exits, seen) = mpsc::channel(64);
    (Parent { exits }.start().recipient(), seen)
}

fn child(seat: &Seat, parent: Recipient<Exited<&'static str>>, permit: Option<Permit>) -> Addr<Child> {
    seat.start(move |_| Child { permit, lifeline: Lifeline::new("child", 7, parent) })
}

#[allow(clippy::disallowed_methods, reason = "the test's own arbiter, to see it die")]
fn arbiter() -> Arbiter {
    Arbiter::new()
}

fn in_system<F: Future>(test: F) -> F::Output {
    System::new().block_on(test)
}

#[test]
fn a_parent_learns_of_every_kind_of_end() {
    in_system(async {
        let (parent, mut exits) = parent();
        for (order, how) in [(Order::Finish, How::Finished), (Order::Stop, How::Stopped), (Order::Panic, How::Panicked)] {
            child(&Seat::Here, parent.clone(), None).do_send(order);

            let exited = exits.recv().await.expect("the parent lives");

            assert_eq!((exited.key, exited.generation, exited.how), ("child", 7, how));
        }
    });
}

#[test]
fn a_parent_learns_that_a_childs_arbiter_died() {
    in_system(async {
        let (parent, mut exits) = parent();
        let arbiter = arbiter();
        let child = child(&Seat::Arbiter(arbiter.handle()), parent, None);
        assert_eq!(child.send(Add(1)).await, Ok(2));

        arbiter.stop();

        assert_eq!(exits.recv().await.expect("the parent lives").how, How::Stopped);
    });
}

#[test]
fn a_panic_ends_one_actor_and_its_siblings_go_on() {
    in_system(async {
        let (parent, mut exits) = parent();
        let (victim, sibling) = (child(&Seat::Here, parent.clone(), None), child(&Seat::Here, parent, None));

        victim.do_send(Order::Panic);
        exits.recv().await.expect("the parent lives");

        assert!(ask(&victim, Add(1)).await.is_err());
        assert_eq!(ask(&sibling, Add(1)).await, Ok(2));
    });
}

#[test]
fn a_credit_comes_back_through_stop_panic_and_arbiter_death() {
    in_system(async {
        let credit = Credit::new(3);
        let (parent, mut exits) = parent();
        let arbiter = arbiter();
        let stopped = child(&Seat::Here, parent.clone(), credit.try_take());
        let panicked = child(&Seat::Here, parent.clone(), credit.try_take());
        let orphan = child(&Seat::Arbiter(arbiter.handle()), parent, credit.try_take());
        orphan.send(Add(1)).await.expect("alive");
        assert!(credit.try_take().is_none());

        stopped.do_send(Order::Stop);
        panicked.do_send(Order::Panic);
        arbiter.stop();
        for _ in 0..3 {
            exits.recv().await.expect("the parent lives");
        }

        assert_eq!(credit.in_use(), 0);
    });
}

#[test]
fn a_question_is_seen_through_when_the_asker_goes_away() {
    struct Slow(Arc<Mutex<u32>>);
    impl Actor for Slow {
        type Context = Context<Self>;
    }
    impl Handler<Add> for Slow {
        type Result = u32;
        fn handle(&mut self, add: Add, _: &mut Self::Context) -> u32 {
            *self.0.lock().expect("not poisoned") += add.0;
            0
        }
    }
    in_system(async {
        let sum = Arc::new(Mutex::new(0));
        let slow = Slow(Arc::clone(&sum)).start();

        // Polled once, so that the command is under way, then dropped as a hung-up client's handler is.
        let mut question = Box::pin(ask(&slow, Add(5)));
        assert!(futures_util::poll!(question.as_mut()).is_pending());
        drop(question);
        slow.send(Add(1)).await.expect("alive");

        assert_eq!(*sum.lock().expect("not poisoned"), 6);
    });
}

#[test]
fn a_child_that_panics_too_often_is_given_up_and_later_forgiven() {
    in_system(async {
        let mut roster: Roster<&'static str, Child> = Roster::new();
        let mut end = |at: u64, how| {
            let exited = Exited { key: "child", generation: 1, how };
            roster.exited(&exited, Duration::from_secs(at))
        };

        for second in 0..5 {
            assert_eq!(end(second, How::Panicked), Fate::Forget);
        }
        assert_eq!(end(5, How::Panicked), Fate::GiveUp);
        assert_eq!(end(5, How::Stopped), Fate::Forget);
        assert_eq!(end(200, How::Panicked), Fate::Forget);
    });
}

#[test]
fn the_end_of_an_earlier_life_is_ignored() {
    in_system(async {
        let (parent, _exits) = parent();
        let mut roster: Roster<&'static str, Child> = Roster::new();
        let start = |generation| {
            let parent = parent.clone();
            Seat::Here.start(move |_| Child { permit: None, lifeline: Lifeline::new("child", generation, parent) })
        };
        roster.find_or_start(&"child", start);
        roster.remove(&"child");
        roster.find_or_start(&"child", start);

        let fate = roster.exited(&Exited { key: "child", generation: 1, how: How::Stopped }, Duration::ZERO);

        assert_eq!(fate, Fate::Ignore);
        assert_eq!(roster.len(), 1);
    });
}

#[test]
fn a_full_roster_lets_the_least_recently_used_go() {
    in_system(async {
        let (parent, _exits) = parent();
        let mut roster: Roster<u8, Child> = Roster::new();
        for key in [1, 2, 1, 3] {
            let parent = parent.clone();
            roster.find_or_start(&key, |generation| {
                Seat::Here.start(move |_| Child { permit: None, lifeline: Lifeline::new("child", generation, parent) })
            });
        }

        assert_eq!(roster.shrink_to(2).map(|(key, _)| key), Some(2));
        assert!(roster.shrink_to(2).is_none());
    });
}

#[test]
fn a_drain_waits_for_all_who_answer_and_not_for_the_dead() {
    in_system(async {
        let (parent, mut exits) = parent();
        let children: Vec<_> = (0..3).map(|_| child(&Seat::Here, parent.clone(), None)).collect();
        children[0].do_send(Order::Panic);

        drain(children.iter().map(|child| child.clone().recipient()).collect(), Duration::from_secs(5)).await;

        let mut ends = Vec::new();
        for _ in 0..3 {
            ends.push(exits.recv().await.expect("the parent lives").how);
        }
        assert_eq!(ends.iter().filter(|how| **how == How::Stopped).count(), 2);
    });
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_moves_only_with_the_test() {
    let clock = Clock::paused(1_000);

    tokio::time::advance(Duration::from_secs(3600)).await;

    assert_eq!(clock.monotonic(), Duration::from_secs(3600));
    assert_eq!(clock.wall_nanos(), 3_600_000_001_000);
}

#[test]
fn a_child_keeps_its_permit_while_it_lives() {
    in_system(async {
        let credit = Credit::new(1);
        let (parent, _exits) = parent();
        let child = child(&Seat::Here, parent, credit.try_take());
        child.send(Add(1)).await.expect("alive");

        assert_eq!(credit.in_use(), 1);
        assert!(tokio::time::timeout(Duration::ZERO, credit.take()).await.is_err());
    });
}
