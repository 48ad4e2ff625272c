//! A member that does as it is told, for the checker in `tests/convergence`.
//!
//! `player ENDPOINT DIRECTORY NAME` opens the member and says `ready`. Each line that it reads is `NUMBER VERB [ARGUMENT]`, done beside
//! the others, and answered by `done NUMBER ok TEXT` or `done NUMBER error TEXT`. Without being asked it says `heard PLACE TOKEN`,
//! `at EPOCH AUTHENTICATOR` where the group has changed, and `event KIND DETAIL`. It ends with its input, and is meant to be killed.
#![allow(clippy::disallowed_methods, reason = "a program of its own, without actors: tasks end with the process")]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use toq_member::{Admission, Channel, Client, Error, Relay, Settings, Standing, Who};

const NAME: &str = "acme/team/convergence";

/// Longer than a relay is away, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(110);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(dir), Some(name)) = (arguments.next(), arguments.next(), arguments.next()) else {
        tell("usage: player ENDPOINT DIRECTORY NAME");
        std::process::exit(2);
    };
    let settings = Settings {
        data_dir: Some(PathBuf::from(dir)),
        commit_timeout: PATIENCE,
        ..Settings::new(Relay::Endpoint(endpoint), name.as_bytes())
    };
    let client = match Client::open(settings).await {
        Ok(client) => client,
        Err(error) => {
            tell(&format!("event failure {error}"));
            std::process::exit(1);
        }
    };
    if let Ok(channel) = client.channel(NAME) {
        attend(&channel);
    }
    tell("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tokio::spawn(obey(client.clone(), line));
    }
}

async fn obey(client: Client, line: String) {
    let mut words = line.splitn(3, ' ');
    let (number, verb, argument) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match act(&client, verb, argument).await {
        Ok(text) => tell(&format!("done {number} ok {text}")),
        Err(error) => tell(&format!("done {number} error {}", error.to_string().replace('\n', " "))),
    }
}

async fn act(client: &Client, verb: &str, argument: &str) -> Result<String, Error> {
    let bytes = || STANDARD.decode(argument).expect("the checker writes base64");
    match verb {
        "create" => attend(&client.create_channel(NAME, Admission::Any).await?),
        "join" => attend(&client.join_channel(NAME, &bytes()).await?),
        "package" => return client.key_package().await.map(|package| STANDARD.encode(package)),
        "add" => return client.channel(NAME)?.add_member(&bytes()).await.map(|welcome| STANDARD.encode(welcome)),
        "remove" => client.channel(NAME)?.remove_member(&Who::Identity(argument.as_bytes().to_vec())).await?,
        "rotate" => client.channel(NAME)?.rotate_key().await?,
        "keep" => client.channel(NAME)?.send(argument.as_bytes()).await?,
        "say" => return client.channel(NAME)?.send_and_wait(argument.as_bytes(), PATIENCE).await.map(|place| place.to_string()),
        "where" => return place(&client.channel(NAME)?).await,
        other => panic!("the checker does not say {other}"),
    }
    Ok(String::new())
}

async fn place(channel: &Channel) -> Result<String, Error> {
    let standing = if channel.standing() == Standing::Member { "member" } else { "out" };
    let rest = if channel.flush(Duration::ZERO).await { "idle" } else { "busy" };
    let (epoch, authenticator) = moment(channel)?;
    Ok(format!("{standing} {rest} {epoch} {authenticator} {}", channel.members().len()))
}

/// Epoch and authenticator of one moment.
fn moment(channel: &Channel) -> Result<(u64, String), Error> {
    loop {
        let epoch = channel.epoch();
        let authenticator = channel.authenticator()?.iter().map(|byte| format!("{byte:02x}")).collect();
        if channel.epoch() == epoch {
            return Ok((epoch, authenticator));
        }
    }
}

/// Tells of whatever is heard and happens.
fn attend(channel: &Channel) {
    let (hearing, watching) = (channel.clone(), channel.clone());
    tokio::spawn(async move {
        // What was printed is done with when the next is asked for; the pipe outlives this process.
        while let Ok(Some(message)) = hearing.next(None).await {
            tell(&format!("heard {} {}", message.seq.unwrap_or(0), String::from_utf8_lossy(&message.payload)));
        }
    });
    tokio::spawn(async move {
        loop {
            for event in watching.events(PATIENCE).await {
                if event.kind != "key_rotated" {
                    tell(&format!("event {} {}", event.kind, event.detail));
                }
            }
            if let Ok((epoch, authenticator)) = moment(&watching) {
                tell(&format!("at {epoch} {authenticator}"));
            }
        }
    });
}

/// Whole lines, in the order of the calls; standard output is written out at the end of each.
fn tell(line: &str) {
    // Nobody is left to be told where this fails.
    let _gone = writeln!(std::io::stdout().lock(), "{line}");
}
