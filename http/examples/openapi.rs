//! Prints the OpenAPI document, to be kept in `docs/openapi.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().lock().write_all(toq_http::openapi::document().as_bytes())
}
