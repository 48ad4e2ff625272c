//! What others have to hear of is done to its end.
//!
//! A handler is dropped when its caller goes away. One that takes something away first writes that down and then tells those who
//! use it; between the two a caller that hangs up would leave them in, and asking again would find nothing to take away.

use toq_api::relay::RelayCode;

use super::error::ApiError;

/// Does something to its end, whether or not anybody waits for it.
pub(crate) async fn finish<T: 'static>(work: impl Future<Output = Result<T, ApiError>> + 'static) -> Result<T, ApiError> {
    let end = toq_kit::spawn(work).await;
    end.unwrap_or_else(|error| {
        tracing::error!(%error, "a request was not done to its end");
        Err(ApiError::new(RelayCode::InternalError, "the relay has failed").hint("its operator finds the reason in the log"))
    })
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokio::sync::oneshot;

    use super::*;

    #[actix_web::test]
    async fn who_hangs_up_takes_nothing_back() {
        let (written, commit) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut work = Box::pin(finish(async move {
            commit.await.expect("it is written");
            tell.send(()).expect("somebody listens");
            Ok(())
        }));
        let is_pending = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await;
        assert!(is_pending, "it waits for the disk");

        drop(work);
        written.send(()).expect("it still waits");

        told.await.expect("others are told");
    }
}
