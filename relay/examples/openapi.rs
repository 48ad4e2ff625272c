//! Prints the OpenAPI document of the API server, to be kept in `docs/openapi-relay.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().lock().write_all(toq_relay::office::openapi::document().as_bytes())
}
