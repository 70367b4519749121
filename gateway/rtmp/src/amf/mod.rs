//! AMF, the encoding of ActionScript values: AMF0 for commands, AMF3 behind its AVM+ marker.

mod value;

pub use value::{Object, Value};
