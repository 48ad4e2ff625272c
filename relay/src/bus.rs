//! How those who wait for a channel learn that its log has grown.
//!
//! A wake-up carries how far the log goes and nothing else. It may be lost, merged or repeated: who is woken reads the log. Among
//! several processes on one log this is what has to reach all of them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Wake-ups for every channel.
pub trait Bus: Debug + Send + Sync + 'static {
    /// Says that a channel's log goes this far. Saying less than before changes nothing.
    fn tell(&self, channel: &str, last: u64);

    /// Listens for a channel. What was said before may or may not be heard.
    fn listen(&self, channel: &str) -> watch::Receiver<u64>;
}

/// Wake-ups within this process.
#[derive(Debug, Default)]
pub struct ProcessBus {
    channels: Mutex<HashMap<Arc<str>, watch::Sender<u64>>>,
}

impl Bus for ProcessBus {
    fn tell(&self, channel: &str, last: u64) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ends) = channels.get(channel) else { return };
        if ends.is_closed() {
            channels.remove(channel);
            return;
        }
        ends.send_if_modified(|known| {
            let is_news = last > *known;
            *known = last.max(*known);
            is_news
        });
    }

    fn listen(&self, channel: &str) -> watch::Receiver<u64> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody listens to any more make room, so that the map is not larger than what is in use.
        if channels.len() == channels.capacity() {
            channels.retain(|_, ends| !ends.is_closed());
        }
        channels.entry(channel.into()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }
}
