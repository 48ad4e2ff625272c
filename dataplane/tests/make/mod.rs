//! Makes the generated file from the protocol's text.

use std::path::Path;

/// Where it is kept.
pub const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/dataplane.rs");

const HEAD: &str = "// Generated from proto/dataplane.proto: cargo run -p toq-dataplane --example generate\n\n";

/// The text of `src/wire/dataplane.rs`.
pub fn wire() -> Result<String, Box<dyn std::error::Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(["dataplane.proto"], [proto])?;
    let out = tempfile::tempdir()?;
    tonic_prost_build::configure().bytes(".").out_dir(out.path()).compile_fds(descriptors)?;
    Ok(HEAD.to_owned() + &std::fs::read_to_string(out.path().join("dataplane.proto.v1.rs"))?)
}
