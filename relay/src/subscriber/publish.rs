//! What a member asks for: checked here, done by topics.

use actix::{AsyncContext as _, Context, Handler};
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use toq_channels::frame::{self, Kind};
use toq_channels::{ChannelName, NameError};
use toq_dataplane::wire::Name;
use toq_dataplane::wire::refused::Code;
use toq_dataplane::{Tag, extension};
use toq_store::relay::{Append, Mark};

use super::answer::Answer;
use super::{Arrived, Dialect, Subscriber};
use crate::asked::{Asked, Publication, What};
use crate::home::Counters;
use crate::topic::{Author, Order};

impl Handler<Arrived> for Subscriber {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, ctx: &mut Self::Context) {
        // The word of it may be on its way; from the revocation on nothing is taken.
        if self.is_revoked() {
            return self.end_as_revoked(ctx);
        }
        let Arrived { frame, own, room } = arrived;
        let Ok(Asked { what, tag, after, seen }) = Asked::decode(frame) else {
            // One that was garbled by a bug of its sender's own ends no stream.
            return self.refuse(None, Answer::bad("the frame is not a message of the data plane"), own, ctx);
        };
        let Ok(tag) = self.tag(&tag) else {
            return self.refuse(None, Answer::bad(format!("a tag has 16 bytes, not {}", tag.len())), own, ctx);
        };
        match what {
            Some(What::Subscribe(subscription)) => match named(subscription.destination()) {
                Ok(channel) => match self.admit(&channel) {
                    Ok(()) => self.subscribe(channel, after, tag, own, ctx),
                    Err(answer) => self.refuse(tag, answer, own, ctx),
                },
                Err(error) => self.refuse(tag, Answer::bad(error.to_string()), own, ctx),
            },
            Some(What::Unsubscribe(subscription)) => {
                if let Ok(channel) = named(subscription.destination()) {
                    let was_wanted = self.plan.borrow_mut().unwant(&channel);
                    if was_wanted {
                        self.tell(channel, Order::Leave(*self.lifeline.key()));
                    }
                }
            }
            Some(What::Publish(publication)) => match named(publication.destination()) {
                Ok(channel) => match self.admit(&channel) {
                    Ok(()) => self.publish(channel, publication, tag, seen, (own, room), ctx),
                    Err(answer) => self.refuse(tag, answer, own, ctx),
                },
                Err(error) => self.refuse(tag, Answer::bad(error.to_string()), own, ctx),
            },
            // Only relays say the rest; a later extension may say more.
            None => {}
        }
    }
}

/// The channel of a frame. What is wrong with a name is told with the name cut to a length that can be shown.
fn named(destination: Option<&Name>) -> Result<ChannelName, NameError> {
    extension::channel(destination).map_err(|error| match error {
        NameError::Parts(text) => NameError::Parts(text.chars().take(64).collect()),
        other => other,
    })
}

impl Subscriber {
    /// The tag of a frame; published members have none, whatever they send there.
    fn tag(&self, bytes: &Bytes) -> Result<Option<Tag>, ()> {
        match self.dialect {
            Dialect::Published => Ok(None),
            Dialect::Extended if bytes.is_empty() => Ok(None),
            Dialect::Extended => Tag::read(bytes).map(Some).ok_or(()),
        }
    }

    /// Whether the account may take part in a channel. It is asked once for each channel and connection, until something changes.
    pub(super) fn admit(&mut self, channel: &ChannelName) -> Result<(), Answer> {
        let Some(guests) = self.home.guests.as_ref() else { return Ok(()) };
        let turn = guests.revoked().turn();
        if turn != self.turn {
            self.turn = turn;
            self.admitted.clear();
        }
        if self.admitted.contains(channel) {
            return Ok(());
        }
        match guests.admit(channel, &self.account.id) {
            Ok(true) => {
                // As many as one connection may listen to are remembered; who uses more is asked about again.
                if self.admitted.len() < self.home.limits.subscriptions {
                    self.admitted.insert(channel.clone());
                }
                Ok(())
            }
            Ok(false) => {
                let detail = format!("another account has registered {channel}; join it by an invite of its owner");
                Err(Answer::refused(Code::Forbidden, detail, 0))
            }
            Err(error) => Err(Answer::unavailable(&error)),
        }
    }

    fn refuse(&mut self, tag: Option<Tag>, answer: Answer, own: OwnedSemaphorePermit, ctx: &mut Context<Self>) {
        Counters::count(&self.home.counters.refused);
        tracing::debug!(connection = self.lifeline.key().0, ?answer, "a frame was refused");
        if self.is_over(&answer, ctx) {
            return;
        }
        self.plan.borrow_mut().answer(tag, answer, Some(own));
    }

    fn subscribe(
        &mut self,
        channel: ChannelName,
        after: Option<u64>,
        tag: Option<Tag>,
        own: OwnedSemaphorePermit,
        ctx: &mut Context<Self>,
    ) {
        let most = self.home.limits.subscriptions;
        if !self.plan.borrow().wants(&channel) && self.plan.borrow().wanted() >= most {
            let detail = format!("one connection listens to at most {most} channels; end one subscription or open another connection");
            return self.refuse(tag, Answer::refused(Code::OverQuota, detail, 0), own, ctx);
        }
        let after = after.filter(|_| self.dialect == Dialect::Extended);
        let wish = self.plan.borrow_mut().want(channel.clone(), after, tag, own);
        self.tell(channel, Order::Join { key: *self.lifeline.key(), subscriber: ctx.address(), wish });
    }

    fn publish(
        &mut self,
        channel: ChannelName,
        publication: Publication,
        tag: Option<Tag>,
        seen: Option<u64>,
        (own, room): (OwnedSemaphorePermit, OwnedSemaphorePermit),
        ctx: &mut Context<Self>,
    ) {
        let Some(blob) = publication.blob().filter(|blob| !blob.is_empty()) else {
            return self.refuse(tag, Answer::bad("the frame carries no message"), own, ctx);
        };
        let most = self.home.limits.max_message;
        if blob.len() > most {
            let detail = format!("{} bytes are more than the {most} that this relay takes; send less at once", blob.len());
            return self.refuse(tag, Answer::refused(Code::TooLarge, detail, 0), own, ctx);
        }
        let (mark, epoch) = mark(&channel, blob);
        // Who cannot say what it has read has read what it was given; who does not listen is taken at its word.
        let seen = seen.filter(|_| self.dialect == Dialect::Extended);
        let seen = seen.or_else(|| self.plan.borrow().cursor(&channel)).unwrap_or(u64::MAX);
        let Some(frame) = publication.forwarded() else {
            return self.refuse(tag, Answer::bad("the frame carries no message"), own, ctx);
        };
        let called = tag.unwrap_or_else(|| self.made_tag());
        let append = Append {
            channel: channel.as_str().into(),
            tag: called.0,
            is_tagged: tag.is_some(),
            mark,
            epoch,
            seen,
            at: self.home.clock.wall_nanos(),
            account: self.account.id.clone(),
            month: self.home.month(),
            messages_per_month: self.account.messages_per_month,
            channels: self.account.channels,
            bytes_per_channel: self.home.retention.bytes_per_channel,
            frame,
        };
        self.plan.borrow_mut().sent(called, channel.clone(), tag.is_some());
        let author = Author { subscriber: ctx.address(), tag: called, own };
        self.tell(channel, Order::Publish { append, author, room });
    }

    fn made_tag(&mut self) -> Tag {
        self.made += 1;
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&self.nonce);
        tag[8..].copy_from_slice(&self.made.to_be_bytes());
        Tag(tag)
    }
}

/// What a blob is to the order of its channel. Only a commit of the channel's own group counts as one; whether it is genuine is for members
/// to find out.
fn mark(channel: &ChannelName, blob: &[u8]) -> (Mark, u64) {
    match frame::peek(blob) {
        Ok(head) if head.kind == Kind::Commit && head.group_id == channel.id() => (Mark::Commit, head.epoch),
        _ => (Mark::Plain, 0),
    }
}
