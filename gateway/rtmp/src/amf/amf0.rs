//! AMF0 ("Action Message Format -- AMF 0", Adobe 2007): one marker byte, then the value.

use super::amf3;
use super::budget::Cursor;
use super::value::{Object, Value};
use crate::Limits;
use crate::error::Fault;

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0A;
const DATE: u8 = 0x0B;
const LONG_STRING: u8 = 0x0C;
const UNSUPPORTED: u8 = 0x0D;
const XML: u8 = 0x0F;
const TYPED_OBJECT: u8 = 0x10;
/// The value behind it is AMF3.
pub(super) const AVM_PLUS: u8 = 0x11;

/// Where a value that can be referred to begins, and whether it has ended.
#[derive(Debug)]
struct Referable {
    at: usize,
    complete: bool,
}

/// Reads the values of one message.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    cursor: Cursor<'a>,
    referables: Vec<Referable>,
    amf3: amf3::Tables,
    /// Reading earlier bytes again for a reference: nothing new is to be registered.
    again: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8], limits: &Limits) -> Self {
        let cursor = Cursor::new(data, limits);
        Self { cursor, referables: Vec::new(), amf3: amf3::Tables::default(), again: false }
    }

    /// The next value, or `None` at the end of the message.
    pub(crate) fn next(&mut self) -> Result<Option<Value>, Fault> {
        if self.cursor.is_at_end() { Ok(None) } else { self.value().map(Some) }
    }

    /// All values up to the end of the message.
    pub(crate) fn rest(&mut self) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::new();
        while let Some(value) = self.next()? {
            values.push(value);
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Value, Fault> {
        self.cursor.charge_value()?;
        let at = self.cursor.at();
        match self.cursor.u8()? {
            NUMBER => Ok(Value::Number(self.cursor.double()?)),
            BOOLEAN => Ok(Value::Boolean(self.cursor.u8()? != 0)),
            STRING => Ok(Value::String(self.short_text()?)),
            NULL => Ok(Value::Null),
            UNDEFINED => Ok(Value::Undefined),
            UNSUPPORTED => Ok(Value::Unsupported),
            DATE => {
                let unix_ms = self.cursor.double()?;
                Ok(Value::Date { unix_ms, zone: self.cursor.u16()?.cast_signed() })
            }
            LONG_STRING => Ok(Value::String(self.long_text()?)),
            XML => Ok(Value::Xml(self.long_text()?)),
            marker @ (OBJECT | ECMA_ARRAY | STRICT_ARRAY | TYPED_OBJECT) => self.container(marker, at),
            REFERENCE => self.reference(),
            AVM_PLUS => amf3::read(&mut self.cursor, &mut self.amf3),
            marker => {
                // 0x04 (movie clip) and 0x0E (record set) are reserved and have no form; 0x09 ends an object.
                self.cursor.jump(at);
                Err(self.cursor.malformed(&format!("marker 0x{marker:02x}")))
            }
        }
    }

    fn container(&mut self, marker: u8, at: usize) -> Result<Value, Fault> {
        self.cursor.enter()?;
        let index = self.referables.len();
        if !self.again {
            self.referables.push(Referable { at, complete: false });
        }
        let value = match marker {
            OBJECT => Value::Object(Object { class: None, properties: self.properties()? }),
            TYPED_OBJECT => {
                let class = Some(self.short_text()?);
                Value::Object(Object { class, properties: self.properties()? })
            }
            ECMA_ARRAY => {
                // The count is a hint, and wrong in the wild.
                self.cursor.u32()?;
                Value::EcmaArray(Object { class: None, properties: self.properties()? })
            }
            _ => Value::Array(self.elements()?),
        };
        if !self.again {
            self.referables[index].complete = true;
        }
        self.cursor.leave();
        Ok(value)
    }

    /// Names and values up to an empty name and an end marker.
    fn properties(&mut self) -> Result<Vec<(String, Value)>, Fault> {
        let mut properties = Vec::new();
        loop {
            let name = self.short_text()?;
            if name.is_empty() && self.cursor.peek() == Some(OBJECT_END) {
                self.cursor.u8()?;
                return Ok(properties);
            }
            self.cursor.check_count(properties.len() + 1)?;
            properties.push((name, self.value()?));
        }
    }

    fn elements(&mut self) -> Result<Vec<Value>, Fault> {
        let count = self.cursor.u32()? as usize;
        self.cursor.check_count(count)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value()?);
        }
        Ok(elements)
    }

    fn reference(&mut self) -> Result<Value, Fault> {
        let index = self.cursor.u16()?;
        let Some(earlier) = self.referables.get(usize::from(index)).filter(|earlier| earlier.complete) else {
            return Err(self.cursor.malformed(&format!("reference to {index}, which is not complete")));
        };
        let back = self.cursor.jump(earlier.at);
        let again = std::mem::replace(&mut self.again, true);
        let amf3_again = self.amf3.read_again(true);
        let value = self.value()?;
        self.amf3.read_again(amf3_again);
        self.again = again;
        self.cursor.jump(back);
        Ok(value)
    }

    fn short_text(&mut self) -> Result<String, Fault> {
        let length = self.cursor.u16()?;
        self.cursor.text(length.into())
    }

    fn long_text(&mut self) -> Result<String, Fault> {
        let length = self.cursor.u32()?;
        self.cursor.text(length as usize)
    }
}

/// Appends a value. Byte arrays, which AMF0 does not know, go behind the AVM+ marker.
pub(crate) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NULL),
        Value::Undefined => out.push(UNDEFINED),
        Value::Unsupported => out.push(UNSUPPORTED),
        Value::Boolean(value) => out.extend([BOOLEAN, u8::from(*value)]),
        Value::Number(number) => {
            out.push(NUMBER);
            out.extend(number.to_be_bytes());
        }
        Value::String(text) => write_text(out, text),
        Value::Date { unix_ms, zone } => {
            out.push(DATE);
            out.extend(unix_ms.to_be_bytes());
            out.extend(zone.to_be_bytes());
        }
        Value::Xml(text) => write_long(out, XML, text),
        Value::Array(elements) => {
            out.push(STRICT_ARRAY);
            out.extend(length32(elements.len()));
            elements.iter().for_each(|element| write(out, element));
        }
        Value::Object(Object { class, properties }) => {
            match class {
                Some(class) => {
                    out.push(TYPED_OBJECT);
                    write_name(out, class);
                }
                None => out.push(OBJECT),
            }
            write_properties(out, properties);
        }
        Value::EcmaArray(object) => {
            out.push(ECMA_ARRAY);
            out.extend(length32(object.properties.len()));
            write_properties(out, &object.properties);
        }
        Value::ByteArray(_) => {
            out.push(AVM_PLUS);
            amf3::write(out, &mut amf3::Strings::new(), value);
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.len() > usize::from(u16::MAX) {
        return write_long(out, LONG_STRING, text);
    }
    out.push(STRING);
    write_name(out, text);
}

fn write_long(out: &mut Vec<u8>, marker: u8, text: &str) {
    out.push(marker);
    out.extend(length32(text.len()));
    out.extend(text.as_bytes());
}

/// A name has two bytes for its length: a longer one is cut.
fn write_name(out: &mut Vec<u8>, name: &str) {
    let name = &name[..name.floor_char_boundary(u16::MAX.into())];
    out.extend((name.len() as u16).to_be_bytes());
    out.extend(name.as_bytes());
}

fn write_properties(out: &mut Vec<u8>, properties: &[(String, Value)]) {
    for (name, value) in properties {
        write_name(out, name);
        write(out, value);
    }
    out.extend([0, 0, OBJECT_END]);
}

fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a value of ours is far below 4 GiB").to_be_bytes()
}

#[cfg(test)]
#[path = "amf0_tests.rs"]
pub(super) mod tests;
