//! Calls through the real binary, with a phone and a SIP peer of ours at its two ends.
//!
//! Every test starts its own gateway on its own ports. `tests/in-netns cargo nextest run -p gateway-tests --test e2e` runs them; the
//! ones of `defaults` need the ports 1935, 5060 and 8080, so they run one at a time.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod bad_input;
mod calling;
mod defaults;
mod dtmf;
mod raw_rtmp;
mod registration;
mod rig;
mod shutdown;
mod speech;
mod stage;
mod trouble;
