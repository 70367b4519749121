//! The gateway as a library: everything that touches tokio, sockets, files and HTTP. `docs/architecture.md` is the map.
//!
//! The protocol cores (`rtmp-session`, `call-media`, `phone-agent`) are state machines below it and know none of these.

pub mod access;
pub mod app;
pub mod config;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod phone;
pub mod rtp_io;
pub mod shutdown;
pub mod sip;
pub mod web;
pub mod workers;
