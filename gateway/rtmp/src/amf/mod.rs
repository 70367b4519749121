//! AMF, the encoding of ActionScript values: AMF0 for commands, AMF3 behind its AVM+ marker.
//!
//! Both know references to values that came earlier in the same message. They are resolved by reading the earlier bytes
//! again, so a reference costs exactly what the copy costs, and the same budget bounds both.

mod amf0;
mod amf3;
mod budget;
mod value;

pub(crate) use amf0::{Reader, write};
pub use value::{Object, Value};

/// Appends the values of a message in the way of Flash when it speaks AMF3: simple values as AMF0, all else behind the
/// AVM+ marker. References reach over the whole message.
pub(crate) fn write_amf3_behind_marker(out: &mut Vec<u8>, values: &[Value]) {
    let mut strings = amf3::Strings::new();
    for value in values {
        match value {
            Value::Array(_) | Value::Object(_) | Value::EcmaArray(_) | Value::Date { .. } | Value::ByteArray(_) => {
                out.push(amf0::AVM_PLUS);
                amf3::write(out, &mut strings, value);
            }
            _ => write(out, value),
        }
    }
}
