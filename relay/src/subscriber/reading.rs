//! What a member sends, one frame after the other, as fast as there is room for it.

use std::sync::Arc;

use actix::Addr;
use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use tonic::Streaming;

use super::{Arrived, Ended, Subscriber, Unreadable};
use crate::home::Home;

/// What a frame takes up besides its bytes, about.
const OVERHEAD: usize = 512;

/// Reads until the end. The socket is not read while the window is full, so the sender is held back.
pub async fn read(mut incoming: Streaming<Bytes>, subscriber: Addr<Subscriber>, home: Arc<Home>) {
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
        let own = window.clone().acquire_many_owned(size).await;
        let room = home.windows.clone().acquire_many_owned(size).await;
        let (Ok(own), Ok(room)) = (own, room) else { break };
        subscriber.do_send(Arrived { frame, own, room });
    }
    subscriber.do_send(Ended);
}
