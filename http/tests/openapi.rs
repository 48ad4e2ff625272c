//! The committed OpenAPI document is the one that the code makes, and knows every route.

use std::collections::BTreeSet;

use toq_http::openapi::document;

/// The document does not describe itself.
const ITSELF: [&str; 2] = ["/openapi.json", "/v1/openapi.json"];

fn root() -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands in quotes after each of these openings.
fn quoted<'a>(source: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    source.split(opening).skip(1).filter_map(|rest| rest.split('"').next())
}

/// The paths of a table, those of a scope with what it begins with.
fn paths(table: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut scope = "";
    for line in table.lines() {
        let is_outside = line.starts_with("        .");
        scope = if is_outside { "" } else { quoted(line, " scope(\"").next().unwrap_or(scope) };
        paths.extend(quoted(line, "path(\"").map(|path| format!("{scope}{path}")));
    }
    paths
}

#[test]
fn the_committed_document_is_up_to_date() {
    let path = root().join("docs/openapi.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(committed == document(), "docs/openapi.json is stale; run: cargo run -q -p toq-http --example openapi > docs/openapi.json");
}

#[test]
fn every_route_of_the_table_is_in_the_document() {
    let table = std::fs::read_to_string(root().join("http/src/routes.rs")).expect("the route table");
    let mut routes = paths(&table);
    assert!(routes.contains("/v1/handlers/{name}/pause") && routes.contains("/v1/audit"), "scopes were read: {routes:?}");
    let runs = std::fs::read_to_string(root().join("http/src/runs.rs")).expect("the routes of runs");
    let scope = quoted(&runs, "web::scope(\"").next().expect("their scope");
    let of_runs: Vec<String> = quoted(&runs, ".route(\"").map(|route| format!("{scope}{route}")).collect();
    assert!(of_runs.len() >= 4, "the table of runs was read");
    routes.extend(of_runs);
    let document: serde_json::Value = serde_json::from_str(&document()).expect("JSON");
    let known: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();

    let missing: Vec<_> = routes.iter().filter(|route| !known.contains(route.as_str()) && !ITSELF.contains(&route.as_str())).collect();

    assert!(missing.is_empty(), "not in the document: {missing:?}");
    assert!(routes.len() > 30, "the table was read");
}
