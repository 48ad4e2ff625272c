//! What a member sends, one frame after the other, as fast as there is room for it.

use std::sync::Arc;

use actix::Addr;
use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use tonic::{Status, Streaming};

use super::{Arrived, Ended, Subscriber, Unreadable};
use crate::arrival::{PATIENCE, Whole};
use crate::home::Home;

/// What a frame takes up besides its bytes, about.
const OVERHEAD: usize = 512;

/// Reads until the end. The socket is not read while the window is full, so the sender is held back.
pub async fn read(mut incoming: Streaming<Bytes>, whole: Whole, subscriber: Addr<Subscriber>, home: Arc<Home>) {
    let most = home.limits.window();
    let window = Arc::new(Semaphore::new(most));
    loop {
        let frame = match incoming.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(%status, "what a member sends cannot be read");
                return subscriber.do_send(Unreadable(status));
            }
        };
        let size = u32::try_from((frame.len() + OVERHEAD).min(most)).unwrap_or(u32::MAX);
        let own = window.clone().acquire_many_owned(size);
        let own = if whole.is_held() {
            // Who reads no answers keeps its own window full; others wait for the room meanwhile.
            let Ok(own) = tokio::time::timeout(PATIENCE, own).await else {
                let text = "your window has been full for a minute and a large frame waits for it; connect again, and read the answers";
                return subscriber.do_send(Unreadable(Status::resource_exhausted(text)));
            };
            own
        } else {
            own.await
        };
        let room = home.windows.clone().acquire_many_owned(size).await;
        let (Ok(own), Ok(room)) = (own, room) else { break };
        whole.taken();
        subscriber.do_send(Arrived { frame, own, room });
    }
    subscriber.do_send(Ended);
}
