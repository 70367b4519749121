//! AMF3 ("Action Message Format -- AMF 3", Adobe 2013), as far as values of a call go.
//!
//! Read: everything but dictionaries and classes with an encoding of their own (save the two wrappers of Flex, which
//! hold one plain value). Vectors are read as arrays. Written: what [`Value`] has.
//!
//! Lengths and references share one number of up to 29 bits ("U29"): its lowest bit says which of the two it is.

use super::budget::{Cursor, Stretch};
use super::value::{Object, Value};
use crate::error::Fault;
use std::collections::HashMap;

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0A;
const XML: u8 = 0x0B;
const BYTE_ARRAY: u8 = 0x0C;
const VECTOR_INT: u8 = 0x0D;
const VECTOR_UINT: u8 = 0x0E;
const VECTOR_DOUBLE: u8 = 0x0F;
const VECTOR_OBJECT: u8 = 0x10;

/// Largest number of 29 bits, signed.
const INTEGER_MAX: f64 = 268_435_455.0;
const INTEGER_MIN: f64 = -268_435_456.0;

/// The wrappers of Flex: classes with an encoding of their own, which is one plain value.
const FLEX_WRAPPERS: [&str; 3] =
    ["flex.messaging.io.ArrayCollection", "flex.messaging.io.ArrayList", "flex.messaging.io.ObjectProxy"];

/// What later values of the message may refer to.
#[derive(Debug, Default)]
pub(super) struct Tables {
    strings: Vec<Stretch>,
    /// Where each complex value begins, and whether it has ended.
    objects: Vec<(usize, bool)>,
    traits: Vec<Traits>,
    /// Reading earlier bytes again for a reference: nothing new is to be registered.
    again: bool,
}

impl Tables {
    /// Switches registering off or on and tells how it was.
    pub(super) fn read_again(&mut self, again: bool) -> bool {
        std::mem::replace(&mut self.again, again)
    }
}

/// The shape of an object: its class and the names that stand before its values.
#[derive(Debug, Clone)]
struct Traits {
    class: Stretch,
    /// The class has an encoding of its own.
    external: bool,
    /// Names and values follow the sealed ones.
    dynamic: bool,
    sealed: Vec<Stretch>,
}

/// Reads the value behind an AVM+ marker.
pub(super) fn read(cursor: &mut Cursor<'_>, tables: &mut Tables) -> Result<Value, Fault> {
    Amf3 { cursor, tables }.value()
}

struct Amf3<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    tables: &'c mut Tables,
}

impl Amf3<'_, '_> {
    fn value(&mut self) -> Result<Value, Fault> {
        self.cursor.charge_value()?;
        let at = self.cursor.at();
        match self.cursor.u8()? {
            UNDEFINED => Ok(Value::Undefined),
            NULL => Ok(Value::Null),
            FALSE => Ok(Value::Boolean(false)),
            TRUE => Ok(Value::Boolean(true)),
            INTEGER => {
                let bits = self.u29()?;
                Ok(Value::Number(f64::from((bits << 3).cast_signed() >> 3)))
            }
            DOUBLE => Ok(Value::Number(self.cursor.double()?)),
            STRING => {
                let stretch = self.string()?;
                Ok(Value::String(self.cursor.text_again(stretch)?))
            }
            marker @ (XML_DOCUMENT | DATE | ARRAY | OBJECT | XML | BYTE_ARRAY | VECTOR_INT..=VECTOR_OBJECT) => {
                self.complex(marker, at)
            }
            marker => {
                self.cursor.jump(at);
                Err(self.cursor.malformed(&format!("AMF3 marker 0x{marker:02x}")))
            }
        }
    }

    /// A value that later ones can refer to, or a reference to an earlier one.
    fn complex(&mut self, marker: u8, at: usize) -> Result<Value, Fault> {
        let head = self.u29()?;
        if head & 1 == 0 {
            return self.reference((head >> 1) as usize);
        }
        self.cursor.enter()?;
        let index = self.tables.objects.len();
        if !self.tables.again {
            self.tables.objects.push((at, false));
        }
        let value = self.body(marker, (head >> 1) as usize)?;
        if !self.tables.again {
            self.tables.objects[index].1 = true;
        }
        self.cursor.leave();
        Ok(value)
    }

    fn body(&mut self, marker: u8, length: usize) -> Result<Value, Fault> {
        match marker {
            DATE => Ok(Value::Date { unix_ms: self.cursor.double()?, zone: 0 }),
            XML_DOCUMENT | XML => Ok(Value::Xml(self.cursor.text(length)?)),
            BYTE_ARRAY => Ok(Value::ByteArray(self.cursor.raw(length)?)),
            ARRAY => self.array(length),
            OBJECT => self.object(length),
            _ => self.vector(marker, length),
        }
    }

    fn reference(&mut self, index: usize) -> Result<Value, Fault> {
        let Some(&(at, true)) = self.tables.objects.get(index) else {
            return Err(self.cursor.malformed(&format!("AMF3 reference to {index}, which is not complete")));
        };
        let back = self.cursor.jump(at);
        let again = self.tables.read_again(true);
        let value = self.value()?;
        self.tables.read_again(again);
        self.cursor.jump(back);
        Ok(value)
    }

    /// Names and values up to an empty name, then `length` elements.
    fn array(&mut self, length: usize) -> Result<Value, Fault> {
        self.cursor.check_count(length)?;
        let mut properties = self.named_values(Vec::new())?;
        let mut elements = Vec::new();
        for _ in 0..length {
            elements.push(self.value()?);
        }
        if properties.is_empty() {
            return Ok(Value::Array(elements));
        }
        let numbered = elements.into_iter().enumerate().map(|(index, value)| (index.to_string(), value));
        properties.extend(numbered);
        Ok(Value::EcmaArray(Object { class: None, properties }))
    }

    fn named_values(&mut self, mut properties: Vec<(String, Value)>) -> Result<Vec<(String, Value)>, Fault> {
        loop {
            let name = self.string()?;
            if name.1 == 0 {
                return Ok(properties);
            }
            self.cursor.check_count(properties.len() + 1)?;
            let name = self.cursor.text_again(name)?;
            properties.push((name, self.value()?));
        }
    }

    fn object(&mut self, head: usize) -> Result<Value, Fault> {
        let traits = self.traits(head)?;
        let class = self.cursor.text_again(traits.class)?;
        if traits.external {
            if !FLEX_WRAPPERS.contains(&class.as_str()) {
                return Err(self.cursor.malformed("AMF3 object of a class with an encoding of its own"));
            }
            return self.value();
        }
        let mut properties = Vec::new();
        for name in &traits.sealed {
            let name = self.cursor.text_again(*name)?;
            properties.push((name, self.value()?));
        }
        if traits.dynamic {
            properties = self.named_values(properties)?;
        }
        Ok(Value::Object(Object { class: Some(class).filter(|class| !class.is_empty()), properties }))
    }

    /// `head` is what follows the bit that says "not a reference to an object".
    fn traits(&mut self, head: usize) -> Result<Traits, Fault> {
        if head & 1 == 0 {
            let known = self.tables.traits.get(head >> 1).cloned();
            return known.ok_or_else(|| self.cursor.malformed("AMF3 reference to unknown traits"));
        }
        let external = head & 2 != 0;
        let dynamic = head & 4 != 0;
        let count = head >> 3;
        self.cursor.check_count(count)?;
        let class = self.string()?;
        let mut sealed = Vec::new();
        for _ in 0..count {
            sealed.push(self.string()?);
        }
        let traits = Traits { class, external, dynamic, sealed };
        if !self.tables.again {
            self.tables.traits.push(traits.clone());
        }
        Ok(traits)
    }

    fn vector(&mut self, marker: u8, length: usize) -> Result<Value, Fault> {
        self.cursor.check_count(length)?;
        let _fixed = self.cursor.u8()?;
        if marker == VECTOR_OBJECT {
            let _class = self.string()?;
        }
        let mut elements = Vec::new();
        for _ in 0..length {
            elements.push(match marker {
                VECTOR_INT => self.numeric(|cursor| Ok(f64::from(cursor.u32()?.cast_signed())))?,
                VECTOR_UINT => self.numeric(|cursor| Ok(f64::from(cursor.u32()?)))?,
                VECTOR_DOUBLE => self.numeric(|cursor| cursor.double())?,
                _ => self.value()?,
            });
        }
        Ok(Value::Array(elements))
    }

    fn numeric(&mut self, read: impl Fn(&mut Cursor<'_>) -> Result<f64, Fault>) -> Result<Value, Fault> {
        self.cursor.charge_value()?;
        read(self.cursor).map(Value::Number)
    }

    /// Where a string stands. The empty one is never registered (AMF3 1.3.2).
    fn string(&mut self) -> Result<Stretch, Fault> {
        let head = self.u29()? as usize;
        if head & 1 == 0 {
            let known = self.tables.strings.get(head >> 1).copied();
            return known.ok_or_else(|| self.cursor.malformed("AMF3 reference to an unknown string"));
        }
        let stretch = (self.cursor.at(), head >> 1);
        self.cursor.take(stretch.1)?;
        if stretch.1 > 0 && !self.tables.again {
            self.tables.strings.push(stretch);
        }
        Ok(stretch)
    }

    /// Seven bits a byte, highest first, a set top bit says "more"; the fourth byte has eight (AMF3 1.3.1).
    fn u29(&mut self) -> Result<u32, Fault> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = self.cursor.u8()?;
            number = number << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.cursor.u8()?))
    }
}

/// The strings of a message so far, and their numbers.
pub(super) type Strings<'v> = HashMap<&'v str, u32>;

/// Appends a value. A string is written once in a message and referred to after that.
pub(super) fn write<'v>(out: &mut Vec<u8>, strings: &mut Strings<'v>, value: &'v Value) {
    Writer { out, strings }.value(value);
}

struct Writer<'o, 'v> {
    out: &'o mut Vec<u8>,
    strings: &'o mut Strings<'v>,
}

impl<'v> Writer<'_, 'v> {
    fn value(&mut self, value: &'v Value) {
        match value {
            // AMF3 has no word for "unsupported".
            Value::Undefined | Value::Unsupported => self.out.push(UNDEFINED),
            Value::Null => self.out.push(NULL),
            Value::Boolean(value) => self.out.push(if *value { TRUE } else { FALSE }),
            Value::Number(number) => self.number(*number),
            Value::String(text) => {
                self.out.push(STRING);
                self.text(text);
            }
            Value::Date { unix_ms, .. } => {
                self.out.extend([DATE, 1]);
                self.out.extend(unix_ms.to_be_bytes());
            }
            Value::Xml(text) => self.bytes(XML, text.as_bytes()),
            Value::ByteArray(bytes) => self.bytes(BYTE_ARRAY, bytes),
            Value::Array(elements) => {
                self.out.push(ARRAY);
                self.u29(inline(elements.len()));
                self.text("");
                elements.iter().for_each(|element| self.value(element));
            }
            Value::EcmaArray(object) => {
                self.out.extend([ARRAY, 1]);
                self.properties(&object.properties);
            }
            Value::Object(object) => {
                // Inline traits, dynamic, no sealed names.
                self.out.extend([OBJECT, 0b1011]);
                self.text(object.class.as_deref().unwrap_or_default());
                self.properties(&object.properties);
            }
        }
    }

    fn number(&mut self, number: f64) {
        let integral = number.fract() == 0.0 && (INTEGER_MIN..=INTEGER_MAX).contains(&number);
        // The integer 0 has no sign.
        if integral && !(number == 0.0 && number.is_sign_negative()) {
            self.out.push(INTEGER);
            self.u29((number as i32).cast_unsigned() & 0x1FFF_FFFF);
        } else {
            self.out.push(DOUBLE);
            self.out.extend(number.to_be_bytes());
        }
    }

    /// An empty name would end the list: such a property cannot be written.
    fn properties(&mut self, properties: &'v [(String, Value)]) {
        for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
            self.text(name);
            self.value(value);
        }
        self.text("");
    }

    fn text(&mut self, text: &'v str) {
        if let Some(index) = self.strings.get(text) {
            return self.u29(index << 1);
        }
        if !text.is_empty() {
            self.strings.insert(text, self.strings.len() as u32);
        }
        self.u29(inline(text.len()));
        self.out.extend(text.as_bytes());
    }

    fn bytes(&mut self, marker: u8, bytes: &[u8]) {
        self.out.push(marker);
        self.u29(inline(bytes.len()));
        self.out.extend(bytes);
    }

    fn u29(&mut self, number: u32) {
        let seven = |shift: u32| (number >> shift & 0x7F) as u8;
        match number {
            0..=0x7F => self.out.push(seven(0)),
            0x80..=0x3FFF => self.out.extend([seven(7) | 0x80, seven(0)]),
            0x4000..=0x1F_FFFF => self.out.extend([seven(14) | 0x80, seven(7) | 0x80, seven(0)]),
            _ => {
                let bytes = [seven(22) | 0x80, seven(15) | 0x80, seven(8) | 0x80, number as u8];
                self.out.extend(bytes);
            }
        }
    }
}

/// A length that is not a reference.
fn inline(length: usize) -> u32 {
    u32::try_from(length << 1 | 1).expect("a value of ours is far below 256 MiB")
}

#[cfg(test)]
#[path = "amf3_tests.rs"]
mod tests;
