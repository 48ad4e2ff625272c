//! The HTTP contract between a toq daemon and the programs on its own machine.
//!
//! What it is: every request and response of the local API as a plain serde type, the closed list of
//! error codes, and a small client that speaks both. The daemon's facade and the command line use the same
//! types, so that a field cannot be renamed on one side only; the OpenAPI document is derived from them.
//!
//! What it is not: a server, a router or a domain model. Nothing here knows an actor, a store or a
//! socket of the peer protocol, and nothing here decides anything. Addresses and keys are text, as they are on
//! the wire; whoever receives them parses them once, at the door.
//!
//! Two rules keep programs written for the published daemon working. A field that the published daemon sends
//! is never renamed, removed or made optional; a field that only we send is optional for whoever reads it. And
//! unknown fields are ignored in both directions.
//!
//! [`relay`] is the contract of another server, that of encrypted channels, and its client.
//!
//! Where to begin: [`message`] (what most callers use), then [`code`] (how failure looks), then [`client`].

pub mod audit;
pub mod backup;
pub mod callback;
pub mod client;
pub mod code;
pub mod consumer;
pub mod daemon;
pub mod event;
pub mod file;
pub mod handler;
pub mod history;
pub mod log;
pub mod message;
pub mod peer;
pub mod relay;
pub mod rule;
pub mod sse;
pub mod stream;
mod tls;

pub use audit::{AuditFault, AuditQuery, AuditRecord, AuditResponse, AuditVerified, AuditVerifyQuery};
pub use backup::{ExportRequest, ExportResponse, ImportPlan, ImportRequest, KeptHere, RotateResponse, Secret, SettingChange};
pub use client::{Client, ClientError, Events};
pub use code::{ErrorBody, ErrorCode, ErrorView};
pub use consumer::{ConfirmRequest, ConfirmResponse, ConsumerView, ConsumersResponse};
pub use daemon::{
    Access, CardResponse, Check, CheckStatus, ConfigResponse, DiagnosticsResponse, DiscoverResponse, DiscoveredAgent, Interception,
    Misaddressed, ShutdownRequest, StatusResponse, StoreHealth, TreeNode, UpgradeResponse,
};
pub use event::{EventKind, EventView, EventsQuery, FollowQuery};
pub use file::{FileRemoved, FileView, FilesResponse, SendFileRequest};
pub use handler::{
    HandlerChanged, HandlerLeft, HandlerView, HandlersResponse, ReplacedKey, RetryRequest, RetryResponse, SetAside, SetAsideResponse,
    StopHandlerRequest, StopHandlerResponse,
};
pub use history::{HistoryQuery, HistoryResponse, ThreadResponse, ThreadState, ThreadSummary, ThreadsResponse};
pub use log::{LogEntry, LogsQuery, LogsResponse};
pub use message::{
    Direction, MessageEvent, MessageState, MessageView, Recipients, SendManyResponse, SendQuery, SendRequest, SendResponse, SendResult,
    SendStatus, Wait,
};
pub use peer::{Connection, ConnectionsResponse, Peer, PeerStatus, PeersResponse, PingRequest, PingResponse};
pub use rule::{Approval, ApprovalDecision, ApprovalKind, ApprovalsResponse, Decision, PermissionsResponse, Rule, RuleBody, RuleKind};
pub use stream::{StreamChunkRequest, StreamChunkResponse, StreamEndRequest, StreamStartRequest, StreamStartResponse};
