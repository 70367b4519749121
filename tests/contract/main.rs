//! The contract of siprtmp.
mod amf;
mod calls;
mod codecs;
mod connecting;
mod five_hours;
mod methods;
mod script;
#[path = "../e2e/stage.rs"]
mod stage;
mod stock;
mod streams;
mod wire;
