//! How an agent framework is connected: what to install and what to write, for the frameworks that have a plugin.
//!
//! Nothing is downloaded or run here: the packages come from their own registries, and the owner's project decides
//! which environment they belong into.

use serde_json::{Value, json};

use super::failure::Failure;

/// A framework that has a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// <https://pypi.org/project/toq-langchain/>
    LangChain,
    /// <https://pypi.org/project/toq-crewai/>
    CrewAi,
    /// A skill and a channel plugin of the OpenClaw registry. They are not part of our tests.
    OpenClaw,
}

impl Framework {
    /// The words that choose one; `none` chooses nothing.
    pub const WORDS: &str = "langchain, crewai, openclaw or none";

    /// Reads a choice.
    pub fn parse(text: &str) -> Result<Option<Self>, Failure> {
        match text {
            "langchain" => Ok(Some(Self::LangChain)),
            "crewai" => Ok(Some(Self::CrewAi)),
            "openclaw" => Ok(Some(Self::OpenClaw)),
            "" | "none" => Ok(None),
            _ => Err(Failure::error(format!("framework must be {}", Self::WORDS))
                .hint("Leave it out for any other: every program can use the Python package `toq` or the HTTP API")),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::LangChain => "langchain",
            Self::CrewAi => "crewai",
            Self::OpenClaw => "openclaw",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::LangChain => "LangChain",
            Self::CrewAi => "CrewAI",
            Self::OpenClaw => "OpenClaw",
        }
    }

    /// What is installed, each a command.
    const fn install(self) -> &'static [&'static str] {
        match self {
            // The plugins are pre-releases, which pip takes only where they are named exactly.
            Self::LangChain => &["pip install toq-langchain==0.1.0a1"],
            Self::CrewAi => &["pip install toq-crewai==0.1.0a1"],
            Self::OpenClaw => &["clawhub install toq", "openclaw plugins install toq-openclaw-channel"],
        }
    }

    /// What is written into the program; nothing where the plugin is all.
    const fn snippet(self) -> &'static str {
        match self {
            Self::LangChain => {
                "from toq_langchain import connect, listen\nclient = connect()\ntools = client.tools()  # for your agent; `await listen(toq.connect_async(), agent)` answers messages"
            }
            Self::CrewAi => {
                "from toq_crewai import connect, listen\nclient = connect()\ntools = client.tools()  # for your crew; `await listen(toq.connect_async(), crew)` answers messages"
            }
            Self::OpenClaw => "",
        }
    }

    /// For a program.
    pub fn json(self) -> Value {
        json!({"name": self.name(), "install": self.install(), "snippet": self.snippet()})
    }

    /// For a person.
    pub fn words(self) -> String {
        let lines = self.install().iter().copied().chain(self.snippet().lines()).map(|line| format!("\n  {line}"));
        format!("{} integration:{}", self.title(), lines.collect::<String>())
    }
}
