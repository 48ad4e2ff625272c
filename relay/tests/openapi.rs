//! The committed OpenAPI document of the API server is the one that the code makes, and knows every route.

use std::collections::BTreeSet;

use toq_relay::office::openapi::document;

/// The document itself, and what only the operator's socket answers.
const OTHERS: [&str; 2] = ["/openapi.json", "/v1/operator"];

fn root() -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_committed_document_is_up_to_date() {
    let path = root().join("docs/openapi-relay.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(
        committed == document(),
        "docs/openapi-relay.json is stale; run: cargo run -q -p toq-relay --example openapi > docs/openapi-relay.json"
    );
}

#[test]
fn every_route_of_the_table_is_in_the_document() {
    let table = std::fs::read_to_string(root().join("relay/src/office/routes.rs")).expect("the route table");
    let routes: BTreeSet<&str> = table.split("path(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let document: serde_json::Value = serde_json::from_str(&document()).expect("JSON");
    let known: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();

    let missing: Vec<_> = routes.iter().filter(|route| !known.contains(*route) && !OTHERS.contains(route)).collect();

    assert!(missing.is_empty(), "not in the document: {missing:?}");
    assert!(routes.len() > 15, "the table was read");
}
