//! What is checked in is what the protocol's text says.

mod make;

#[test]
fn the_generated_file_is_current() {
    let kept = std::fs::read_to_string(make::CHECKED_IN).expect("checked in");
    let made = make::wire().expect("the text compiles");

    assert!(kept == made, "run: cargo run -p toq-dataplane --example generate");
}
