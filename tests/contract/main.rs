//! The contract of siprtmp.
mod amf;
mod script;
mod stock;
mod wire;
