//! Calls with real programs, in the network namespace that `tests/in-netns` makes:
//! `tests/in-netns cargo nextest run -p gateway-tests --test interop`.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod baresip;
mod comfort_noise;
mod ffmpeg;
mod kamailio;
mod librtmp;
mod pauses;
mod pj_phone;
mod pjsua2;
mod place;
mod reports;
mod sipp;
