//! The gateway's program.
fn main() {}
