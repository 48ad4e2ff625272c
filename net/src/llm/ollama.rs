//! Ollama, which is spoken to as OpenAI is, at a path of its own. Its answers are read as OpenAI's are.

use super::{Credential, Question, Request, openai};

pub(super) fn write(question: &Question<'_>, credential: &Credential) -> Request {
    openai::write(question, "/v1/chat/completions", credential)
}
