//! The connection to a relay, over gRPC or inside the process.
//!
//! Both speak the same words, those of [`toq_dataplane::link`], so that what is tested against the one holds for the other.

use toq_channels::ChannelName;
use toq_dataplane::extension::{Carriage, Tag};
use toq_dataplane::link::{Event, Incoming, Link, LinkError, Options};

use crate::mock;
use crate::settings::{Relay, Settings};

/// What writes.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Grpc(Link),
    InProcess(mock::Line),
}

/// What reads.
pub(crate) enum Arrivals {
    Grpc(Box<Incoming>),
    #[cfg(feature = "faults")]
    Rough(Box<crate::weather::Weather>),
    InProcess(mock::Line),
}

/// Something to be published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub n: u64,
    pub carriage: Carriage,
    pub frame: Vec<u8>,
    pub tag: Tag,
    pub seen: Option<u64>,
}

/// Connects.
pub(crate) async fn open(settings: &Settings, token: Option<String>) -> Result<(Line, Arrivals), LinkError> {
    match &settings.relay {
        Relay::Endpoint(endpoint) => {
            let options = Options { token, ca: settings.ca.clone(), ..Options::new(endpoint.clone()) };
            let (link, incoming) = Link::open(options).await?;
            let incoming = Box::new(incoming);
            #[cfg(feature = "faults")]
            let incoming = match crate::weather::Weather::over(incoming) {
                Ok(rough) => return Ok((Line::Grpc(link), Arrivals::Rough(Box::new(rough)))),
                Err(incoming) => incoming,
            };
            Ok((Line::Grpc(link), Arrivals::Grpc(incoming)))
        }
        Relay::InProcess(relay) => {
            let line = relay.connect()?;
            Ok((Line::InProcess(line.clone()), Arrivals::InProcess(line)))
        }
    }
}

impl Line {
    pub(crate) fn is_extended(&self) -> bool {
        match self {
            Line::Grpc(link) => link.is_extended(),
            Line::InProcess(line) => line.is_extended(),
        }
    }

    pub(crate) async fn subscribe(&self, channel: &ChannelName, after: u64, tag: Tag) -> Result<(), LinkError> {
        match self {
            Line::Grpc(link) => link.subscribe(channel, Some(after), tag).await,
            Line::InProcess(line) => line.subscribe(channel, after, tag),
        }
    }

    pub(crate) async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), LinkError> {
        match self {
            Line::Grpc(link) => link.unsubscribe(channel).await,
            Line::InProcess(line) => line.unsubscribe(channel),
        }
    }

    pub(crate) async fn publish(&self, channel: &ChannelName, publication: Publication) -> Result<(), LinkError> {
        let Publication { carriage, frame, tag, seen, .. } = publication;
        match self {
            Line::Grpc(link) => link.publish(channel, carriage, frame.into(), tag, seen).await,
            Line::InProcess(line) => line.publish(channel, carriage, frame.into(), tag, seen),
        }
    }
}

impl Arrivals {
    pub(crate) async fn next(&mut self) -> Option<Event> {
        match self {
            Arrivals::Grpc(incoming) => incoming.next().await,
            #[cfg(feature = "faults")]
            Arrivals::Rough(weather) => weather.next().await,
            Arrivals::InProcess(line) => line.next().await,
        }
    }
}
