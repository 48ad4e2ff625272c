//! What runs for as long as the relay does, and is waited for by nobody: that something of it has ended is told.
//!
//! A process that stays and does not take anybody in any more, or hears of no revocation, is worse than one that ends: whoever
//! watches over it starts that one again.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which of them was the first to end. Clones share it.
#[derive(Clone, Debug)]
pub struct Ends(Arc<watch::Sender<Option<&'static str>>>);

impl Default for Ends {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

/// Tells when it is dropped, however that comes.
struct Told {
    ends: Ends,
    what: &'static str,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.ends.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(self.what);
            is_first
        });
    }
}

impl Ends {
    /// Runs something that is not to end.
    pub fn spawn(&self, what: &'static str, work: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        let told = Told { ends: self.clone(), what };
        toq_kit::spawn(async move {
            let _told = told;
            work.await;
        })
    }

    /// Waits until one of them has ended, in good order or by a panic; says which.
    pub async fn first(&self) -> &'static str {
        let mut ends = self.0.subscribe();
        let first = ends.wait_for(Option::is_some).await;
        first.ok().and_then(|first| *first).unwrap_or("something")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn the_first_that_ends_or_panics_is_told_of_also_to_who_asks_later() {
        for panics in [true, false] {
            let ends = Ends::default();
            let lasting = ends.spawn("what lasts", std::future::pending());
            drop(ends.spawn("what ends", async move { assert!(!panics, "a drill") }).await);
            lasting.abort();
            drop(lasting.await);

            assert_eq!(ends.first().await, "what ends");
        }
    }
}
