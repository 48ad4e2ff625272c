//! Sets up this user's own agent, in the home directory: by asking on a terminal, or from options.

use std::net::UdpSocket;

use serde_json::json;
use toq_config::{Adapter, ConfigError, WorkspaceConfig};

use super::config;
use super::desk::Desk;
use super::failure::{ERROR, Failure};
use super::framework::Framework;
use super::identity;

/// The port of an agent that is set up for a user: the one that addresses leave out.
const PORT: u16 = 9009;

/// Sets up this user's own agent, in ~/.toq
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Asks nothing and takes what the options say
    #[arg(long)]
    non_interactive: bool,
    /// The agent's name: lower-case letters, digits and inner hyphens [default: agent]
    #[arg(long)]
    agent_name: Option<String>,
    /// The host in the agent's address [default: this machine's address]
    #[arg(long)]
    host: Option<String>,
    /// Who may connect: open, allowlist, approval or dns-verified [default: approval]
    #[arg(long)]
    connection_mode: Option<String>,
    /// How messages reach local programs: http, stdin or unix [default: http]
    #[arg(long)]
    adapter: Option<String>,
    /// Shows how an agent framework is connected: langchain, crewai, openclaw or none [default: none]
    #[arg(long)]
    framework: Option<String>,
}

/// One setting of a new agent.
struct Setting {
    /// Its key in the configuration.
    key: &'static str,
    /// How a person is asked for it.
    question: &'static str,
    /// What it is unless somebody says otherwise.
    value: String,
}

impl Setup {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let dir = match desk.explicit() {
            Some(dir) => desk.world.cwd.join(dir),
            None => desk.home()?.join(".toq"),
        };
        let mut framework = Framework::parse(self.framework.as_deref().unwrap_or_default())?;
        if dir.join(toq_config::FILE).is_file() {
            let told = told("Setup already complete".to_owned(), framework);
            return desk.output.answer(|| json!({"setup": "existing", "framework": framework.map(Framework::json)}), || told);
        }
        let can_ask = desk.world.interactive && !desk.output.is_json();
        if !self.non_interactive && !can_ask {
            return Err(Failure::error("there is no terminal to ask at")
                .hint("Run `toq setup --non-interactive`, with options for what differs from the defaults"));
        }
        let is_asking = !self.non_interactive;
        let is_framework_open = is_asking && self.framework.is_none();
        let mut settings = self.settings();
        for setting in &mut settings {
            // All of it is known before the first file is written, so that a wrong answer leaves no half of a setup.
            if is_asking {
                setting.value = asked(desk, setting)?;
            } else {
                toq_config::typed(setting.key, &setting.value).map_err(usual)?;
            }
        }
        if is_framework_open {
            framework = asked_framework(desk)?;
        }
        let [name, host, rest @ ..] = &settings;
        toq_config::init(&dir, &name.value, &host.value, Some(PORT)).map_err(usual)?;
        for setting in rest {
            toq_config::set(&dir, setting.key, &setting.value).map_err(usual)?;
        }

        desk.output.note("Generating identity keypair and TLS certificate...");
        let key = identity::make(&dir)?;
        let loaded = WorkspaceConfig::load(&dir, std::iter::empty(), &[])?;
        let address = loaded.config.address(PORT).to_string();
        let start = match loaded.config.adapter {
            Adapter::Stdin => "Run `toq up --foreground` to start the agent: messages are lines of its standard output".to_owned(),
            Adapter::Unix => format!("Run `toq up` to start the agent; its API is then also at {}", config::socket(&loaded).display()),
            _ => "Run `toq up` to start the agent".to_owned(),
        };
        desk.output.answer(
            || {
                let framework = framework.map(Framework::json);
                let mut json =
                    json!({"setup": "complete", "address": address, "public_key": key, "config_dir": dir, "framework": framework});
                if loaded.config.adapter == Adapter::Unix {
                    json["socket"] = json!(config::socket(&loaded));
                }
                json
            },
            || told(format!("Setup complete: {address}\nPublic key: {key}\n{start}"), framework),
        )
    }

    fn settings(self) -> [Setting; 4] {
        let setting = |key, question, value| Setting { key, question, value };
        let or = |given: Option<String>, usual: &str| given.unwrap_or_else(|| usual.to_owned());
        [
            setting("agent_name", "The agent's name", or(self.agent_name, "agent")),
            setting("host", "The host by which others reach this machine", self.host.unwrap_or_else(own_address)),
            setting("connection_mode", "Who may connect (open, allowlist, approval, dns-verified)", or(self.connection_mode, "approval")),
            setting("adapter", "How messages reach your programs (http, stdin, unix)", or(self.adapter, "http")),
        ]
    }
}

/// Asks until the answer can be used. No answer is the proposal.
fn asked(desk: &Desk, setting: &Setting) -> Result<String, Failure> {
    loop {
        let answer = desk.output.ask(&format!("{} [{}]:", setting.question, setting.value))?;
        let answer = if answer.is_empty() { setting.value.clone() } else { answer };
        match toq_config::typed(setting.key, &answer) {
            Ok(_) => return Ok(answer),
            Err(error) => desk.output.note(&format!("  {}", usual(error).message)),
        }
    }
}

/// Asks until it is a framework or none.
fn asked_framework(desk: &Desk) -> Result<Option<Framework>, Failure> {
    loop {
        let answer = desk.output.ask(&format!("Which agent framework, if any ({}) [none]:", Framework::WORDS))?;
        match Framework::parse(&answer) {
            Ok(framework) => return Ok(framework),
            Err(failure) => desk.output.note(&format!("  {}", failure.message)),
        }
    }
}

fn told(text: String, framework: Option<Framework>) -> String {
    framework.map_or_else(|| text.clone(), |framework| format!("{text}\n\n{}", framework.words()))
}

fn usual(error: ConfigError) -> Failure {
    Failure::from(error).code(ERROR)
}

/// Returns the address by which this machine would speak to others. Connecting a datagram socket sends nothing.
fn own_address() -> String {
    let address = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.to_string())
    };
    address().unwrap_or_else(|| "localhost".to_owned())
}
