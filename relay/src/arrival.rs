//! What comes in on a stream, looked at before the gRPC library does.
//!
//! Only the lengths of frames are read (gRPC over HTTP/2, `Length-Prefixed-Message`), to see where one begins that needs
//! [room](crate::begun). Until there is some, nothing of it goes on and nothing more is read, so HTTP/2 holds the sender back. A large frame
//! that has begun has [`PATIENCE`] to come whole.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame};
use prost::bytes::{Buf as _, Bytes};
use tokio::time::Sleep;
use tonic::Status;

use crate::begun::{Begun, Place, SMALL};

/// How long a large frame may take from its beginning to its end, and from there to a place in the connection's window.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether there is room, at first and at most.
const LOOK: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(200)];
/// What stands before a frame: one byte of flags, four of its length.
const HEAD: usize = 5;

/// Room for frames that have come whole and nobody has taken yet. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Whole(Arc<Mutex<Vec<Place>>>);

impl Whole {
    /// Gives the room back: what came is kept elsewhere now.
    pub fn taken(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether anybody waits for room that is held here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn keep(&self, place: Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }
}

/// A body that lets large frames wait for room.
pub struct Arrival<B> {
    body: B,
    begun: Begun,
    source: IpAddr,
    /// The largest frame that the library takes memory for; it refuses others by their length.
    largest: usize,
    lengths: Lengths,
    /// What has come and has not gone on.
    held: Bytes,
    place: Option<Place>,
    whole: Whole,
    /// When the large frame has to be whole.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When to look for room again, and how long the pause was.
    look: Option<(Pin<Box<Sleep>>, Duration)>,
}

/// Where in a frame the stream is.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    head: [u8; HEAD],
    /// How much of the head has come.
    of_head: usize,
    /// What is to come of the frame.
    left: usize,
}

/// What may go on.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// So many bytes.
    Pass(usize),
    /// Nothing, before there is room for a frame of so many.
    Room(usize),
}

impl Lengths {
    /// Goes over as much of `data`, which is not empty, as may go on: up to the head of a frame that is large, or to the end of one.
    fn pass(&mut self, data: &[u8], has_room: bool, largest: usize) -> Part {
        let mut at = 0;
        if has_room && self.left > 0 {
            at = self.left.min(data.len());
            self.left -= at;
            return Part::Pass(at);
        }
        while at < data.len() {
            let step = self.left.min(data.len() - at);
            self.left -= step;
            at += step;
            if at == data.len() {
                break;
            }
            let before = (*self, at);
            let step = (HEAD - self.of_head).min(data.len() - at);
            self.head[self.of_head..self.of_head + step].copy_from_slice(&data[at..at + step]);
            self.of_head += step;
            at += step;
            if self.of_head < HEAD {
                break;
            }
            let [_, length @ ..] = self.head;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if length > SMALL && length <= largest && !has_room {
                let begin;
                (*self, begin) = before;
                return if begin == 0 { Part::Room(length) } else { Part::Pass(begin) };
            }
            (self.of_head, self.left) = (0, length);
            if has_room {
                // Its end is to be seen.
                let step = self.left.min(data.len() - at);
                self.left -= step;
                return Part::Pass(at + step);
            }
        }
        Part::Pass(at)
    }
}

impl<B> Arrival<B> {
    /// Looks at what comes from an address or a network.
    pub fn new(body: B, begun: Begun, source: IpAddr, largest: usize, whole: Whole) -> Self {
        let (lengths, held) = (Lengths::default(), Bytes::new());
        Self { body, begun, source, largest, lengths, held, place: None, whole, deadline: None, look: None }
    }

    /// What of the bytes that are held may go on now.
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            let part = self.lengths.pass(&self.held, self.place.is_some(), self.largest);
            let bytes = match part {
                Part::Pass(bytes) => bytes,
                Part::Room(bytes) => {
                    self.place = self.begun.take(self.source, bytes);
                    if self.place.is_none() {
                        ready!(self.wait(context));
                        continue;
                    }
                    self.look = None;
                    self.deadline = Some(Box::pin(tokio::time::sleep(PATIENCE)));
                    continue;
                }
            };
            if self.lengths.left == 0
                && self.lengths.of_head == 0
                && let Some(place) = self.place.take()
            {
                self.whole.keep(place);
                self.deadline = None;
            }
            return Poll::Ready(self.held.split_to(bytes));
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let [first, most] = LOOK;
        let (sleep, pause) = self.look.get_or_insert_with(|| (Box::pin(tokio::time::sleep(first)), first));
        ready!(sleep.as_mut().poll(context));
        let pause = (*pause * 2).min(most);
        self.look = Some((Box::pin(tokio::time::sleep(pause)), pause));
        Poll::Ready(())
    }
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for Arrival<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        while !this.held.has_remaining() {
            if let Some(deadline) = &mut this.deadline
                && deadline.as_mut().poll(context).is_ready()
            {
                let text = format!("a frame that has begun was not whole after {} s; connect again and send it faster", PATIENCE.as_secs());
                return Poll::Ready(Some(Err(Status::deadline_exceeded(text))));
            }
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => this.held = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        this.go_on(context).map(|bytes| Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::StreamBody;
    use tokio_stream::{StreamExt as _, pending};

    use super::*;
    use crate::begun::ROOM;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const LARGEST: usize = 2 << 20;

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(length).expect("small").to_be_bytes());
        bytes.extend((0..length).map(|at| u8::try_from(at % 251).expect("small")));
        bytes
    }

    /// A stream that brings these and then neither goes on nor ends.
    fn arrival(
        chunks: Vec<Bytes>,
        begun: &Begun,
        whole: &Whole,
        largest: usize,
    ) -> Pin<Box<Arrival<impl Body<Data = Bytes, Error = Status> + Unpin>>> {
        let chunks = tokio_stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)))).chain(pending());
        Box::pin(Arrival::new(StreamBody::new(chunks), begun.clone(), HERE, largest, whole.clone()))
    }

    async fn next<B: Body<Data = Bytes, Error = Status> + Unpin>(arrival: &mut Pin<Box<Arrival<B>>>) -> Result<Bytes, Status> {
        let frame = poll_fn(|context| arrival.as_mut().poll_frame(context)).await.expect("it does not end")?;
        Ok(frame.into_data().expect("bytes"))
    }

    /// What comes without waiting for more than a second.
    async fn all<B: Body<Data = Bytes, Error = Status> + Unpin>(arrival: &mut Pin<Box<Arrival<B>>>) -> Vec<u8> {
        let mut came = Vec::new();
        while let Ok(part) = tokio::time::timeout(Duration::from_secs(1), next(arrival)).await {
            came.extend(part.expect("it is fine"));
        }
        came
    }

    #[tokio::test(start_paused = true)]
    async fn however_it_is_cut_all_of_it_goes_on_and_all_room_is_given_back() {
        let largest = 50_000;
        let said = [0, 10, SMALL, SMALL + 1, 40_000, 3, largest, largest + 1, 0].map(frame).concat();
        for size in [3, 5, 1021, 16_384, said.len()] {
            let (begun, whole) = (Begun::new(largest), Whole::default());
            let mut arrival = arrival(said.chunks(size).map(Bytes::copy_from_slice).collect(), &begun, &whole, largest);

            let came = all(&mut arrival).await;

            assert!(came == said, "cut into {size}");
            assert_eq!(begun.taken(), SMALL + 1 + 40_000 + largest, "until they are taken, those that need room have it");
            whole.taken();
            assert_eq!(begun.taken(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_frames_that_begin_and_do_not_end_get_no_further_than_there_is_room() {
        let (begun, whole) = (Begun::new(LARGEST), Whole::default());
        let begins: Vec<Bytes> = frame(LARGEST)[..100_000].chunks(16_384).map(Bytes::copy_from_slice).collect();
        let mut crowd = Vec::new();
        let mut came = 0;
        for _ in 0..1000 {
            let mut stranger = arrival(begins.clone(), &begun, &whole, LARGEST);
            let first = poll_fn(|context| Poll::Ready(stranger.as_mut().poll_frame(context))).await;
            came += usize::from(first.is_ready());
            crowd.push(stranger);
        }
        assert!(came * LARGEST <= ROOM && came > 10, "{came}");
        let small = [frame(100), frame(SMALL)].concat();
        let mut member = arrival(vec![Bytes::from(small.clone())], &begun, &whole, LARGEST);
        assert!(all(&mut member).await == small, "who says little waits for nobody");
        let mut other = arrival(vec![Bytes::from(frame(LARGEST))], &begun, &whole, LARGEST);
        assert_eq!(all(&mut other).await.len(), 0, "who says much does");

        drop(crowd);

        assert_eq!(all(&mut other).await.len(), LARGEST + HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_frame_that_does_not_end_is_given_up() {
        let (begun, whole) = (Begun::new(LARGEST), Whole::default());
        let mut stranger = arrival(vec![Bytes::from(frame(LARGEST)).slice(..50_000)], &begun, &whole, LARGEST);
        next(&mut stranger).await.expect("it begins");

        let end = next(&mut stranger).await.expect_err("it takes too long");

        assert!(end.message().contains("60 s"), "{end}");
        drop(stranger);
        assert_eq!(begun.taken(), 0);
    }
}
