//! Writes `src/wire/dataplane.rs` anew: `cargo run -p toq-dataplane --example generate`.

#[path = "../tests/make/mod.rs"]
mod make;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(make::CHECKED_IN, make::wire()?)?;
    Ok(())
}
