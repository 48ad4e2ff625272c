//! What happens, as it happens: the queries of the two live streams, and the events of the second.
//!
//! `GET /v1/messages` carries messages ([`crate::MessageEvent`]); `GET /v1/events` carries what became of them and
//! what else an operator or a program may want to react to ([`EventView`]). Both resume from the store by the
//! `id:` line of the last event that the reader saw.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of the live stream `GET /v1/messages`.
#[derive(Clone, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct FollowQuery {
    /// Only messages from addresses that match this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only messages of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[param(rename = "type")]
    pub kind: Option<String>,
    /// A place in the log or an RFC 3339 time to start after; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Includes this agent's own messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outgoing: Option<bool>,
    /// Reads as this durable consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
}

/// The query of the live stream `GET /v1/events`.
#[derive(Clone, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[param(rename = "type")]
    pub kind: Option<String>,
    /// A place in the log or an RFC 3339 time to start after; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// One event of `GET /v1/events`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct EventView {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// What it happened to: a message id, a key for approvals, a thread id for conversations.
    pub id: String,
    /// The other side of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub timestamp: String,
}

/// What can happen.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[non_exhaustive]
pub enum EventKind {
    /// The owner of an agent that had to be asked does not let us in for now; messages go on waiting.
    #[serde(rename = "approval.denied")]
    ApprovalDenied,
    /// The owner of an agent that had to be asked lets us in; what waits is sent at once.
    #[serde(rename = "approval.granted")]
    ApprovalGranted,
    /// An unknown agent asks to be let in.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// An open question was answered.
    #[serde(rename = "approval.resolved")]
    ApprovalResolved,
    /// A handler was removed that had messages left; `reason` says how many. They stay in the history.
    #[serde(rename = "handler.removed")]
    HandlerRemoved,
    /// A handler failed too often on a message; the message is kept where its owner finds it.
    #[serde(rename = "handler.set_aside")]
    HandlerSetAside,
    /// A row of the log cannot be read; it stays where it is, and everything else goes on.
    #[serde(rename = "log.unreadable")]
    LogUnreadable,
    /// Delivery was given up.
    #[serde(rename = "message.dead_letter")]
    MessageDeadLetter,
    /// The peer acknowledged a message.
    #[serde(rename = "message.delivered")]
    MessageDelivered,
    /// A message's time to live ran out.
    #[serde(rename = "message.expired")]
    MessageExpired,
    /// The peer refused a message.
    #[serde(rename = "message.rejected")]
    MessageRejected,
    /// A message was taken back before it was written.
    #[serde(rename = "message.withdrawn")]
    MessageWithdrawn,
    /// Somebody seems to be between us and a peer: the session was refused.
    #[serde(rename = "peer.intercepted")]
    PeerIntercepted,
    /// An agent has another key than before; the owner decides.
    #[serde(rename = "peer.key_changed")]
    PeerKeyChanged,
    /// A peer has another key, and has proven that it follows the one before; `reason` is the one before.
    #[serde(rename = "peer.key_rotated")]
    PeerKeyRotated,
    /// A peer kept sending too fast and is not heard for a while.
    #[serde(rename = "peer.muted")]
    PeerMuted,
    /// A rule or the connection mode changed.
    #[serde(rename = "policy.changed")]
    PolicyChanged,
    /// A stream broke before its end.
    #[serde(rename = "stream.aborted")]
    StreamAborted,
    /// Handlers leave a conversation alone, for the reason given.
    #[serde(rename = "thread.paused")]
    ThreadPaused,
    /// Something of a published workspace could not be read and was left out: `id` says what and why.
    #[serde(rename = "workspace.left_out")]
    WorkspaceLeftOut,
    /// A published workspace was taken over; `reason` says how much.
    #[serde(rename = "workspace.taken_over")]
    WorkspaceTakenOver,
}

impl EventKind {
    /// Returns the type as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalDenied => "approval.denied",
            Self::ApprovalGranted => "approval.granted",
            Self::ApprovalRequested => "approval.requested",
            Self::ApprovalResolved => "approval.resolved",
            Self::HandlerRemoved => "handler.removed",
            Self::HandlerSetAside => "handler.set_aside",
            Self::LogUnreadable => "log.unreadable",
            Self::MessageDeadLetter => "message.dead_letter",
            Self::MessageDelivered => "message.delivered",
            Self::MessageExpired => "message.expired",
            Self::MessageRejected => "message.rejected",
            Self::MessageWithdrawn => "message.withdrawn",
            Self::PeerIntercepted => "peer.intercepted",
            Self::PeerKeyChanged => "peer.key_changed",
            Self::PeerKeyRotated => "peer.key_rotated",
            Self::PeerMuted => "peer.muted",
            Self::PolicyChanged => "policy.changed",
            Self::StreamAborted => "stream.aborted",
            Self::ThreadPaused => "thread.paused",
            Self::WorkspaceLeftOut => "workspace.left_out",
            Self::WorkspaceTakenOver => "workspace.taken_over",
        }
    }
}
