//! AMF of our own, so that the gateway's reader and writer do not judge themselves (AMF0 and AMF3 specifications of Adobe).

use std::fmt;

/// A value on the wire. What stands in [`Amf::Behind`] is written as AMF3 behind the AVM+ marker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Amf {
    Number(f64),
    Boolean(bool),
    Text(String),
    Null,
    Undefined,
    Object(Vec<(String, Amf)>),
    Behind(Amf3),
}

/// A value in AMF3 (sections 3.1 to 3.12).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Amf3 {
    Null,
    Boolean(bool),
    Integer(u32),
    Double(f64),
    Text(String),
    /// The string with this number in the table of those already sent in this message.
    TextAgain(u32),
    /// A dynamic object without a class.
    Object(Vec<(String, Amf3)>),
}

pub(crate) fn text(text: &str) -> Amf {
    Amf::Text(text.into())
}

pub(crate) fn texts(texts: &[&str]) -> Vec<Amf> {
    texts.iter().copied().map(text).collect()
}

pub(crate) fn object(properties: &[(&str, Amf)]) -> Amf {
    Amf::Object(properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

impl Amf {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Amf::Number(number) => {
                out.push(0);
                out.extend(number.to_be_bytes());
            }
            Amf::Boolean(value) => out.extend([1, u8::from(*value)]),
            Amf::Text(text) => {
                out.push(2);
                put_name(out, text);
            }
            Amf::Object(properties) => {
                out.push(3);
                for (name, value) in properties {
                    put_name(out, name);
                    value.put(out);
                }
                out.extend([0, 0, 9]);
            }
            Amf::Null => out.push(5),
            Amf::Undefined => out.push(6),
            Amf::Behind(value) => {
                out.push(0x11);
                value.put(out);
            }
        }
    }

    /// Reads one AMF0 value and gives the rest. The gateway sends no other kinds.
    pub(crate) fn take(bytes: &[u8]) -> (Amf, &[u8]) {
        match bytes {
            [0, rest @ ..] => (Amf::Number(f64::from_be_bytes(rest[..8].try_into().unwrap())), &rest[8..]),
            [1, value, rest @ ..] => (Amf::Boolean(*value != 0), rest),
            [2, rest @ ..] => {
                let (text, rest) = take_name(rest);
                (Amf::Text(text), rest)
            }
            [3, rest @ ..] => {
                let (mut properties, mut rest) = (Vec::new(), rest);
                loop {
                    if let [0, 0, 9, behind @ ..] = rest {
                        return (Amf::Object(properties), behind);
                    }
                    let (name, value) = take_name(rest);
                    let (value, behind) = Amf::take(value);
                    properties.push((name, value));
                    rest = behind;
                }
            }
            [5, rest @ ..] => (Amf::Null, rest),
            [6, rest @ ..] => (Amf::Undefined, rest),
            _ => panic!("no AMF0 value: {bytes:02x?}"),
        }
    }

    /// All values of a body.
    pub(crate) fn take_all(mut bytes: &[u8]) -> Vec<Amf> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            let (value, rest) = Amf::take(bytes);
            values.push(value);
            bytes = rest;
        }
        values
    }
}

impl Amf3 {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Amf3::Null => out.push(1),
            Amf3::Boolean(value) => out.push(if *value { 3 } else { 2 }),
            Amf3::Integer(number) => {
                out.push(4);
                put_u29(out, *number);
            }
            Amf3::Double(number) => {
                out.push(5);
                out.extend(number.to_be_bytes());
            }
            Amf3::Text(text) => {
                out.push(6);
                put_text3(out, text);
            }
            Amf3::TextAgain(number) => {
                out.push(6);
                put_u29(out, number << 1);
            }
            Amf3::Object(properties) => {
                // Traits inline, dynamic, no sealed members, no class name (section 3.12).
                out.extend([0x0A, 0x0B, 0x01]);
                for (name, value) in properties {
                    put_text3(out, name);
                    value.put(out);
                }
                out.push(1);
            }
        }
    }
}

fn put_name(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn take_name(bytes: &[u8]) -> (String, &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let text = std::str::from_utf8(&bytes[2..2 + length]).unwrap();
    (text.to_owned(), &bytes[2 + length..])
}

fn put_text3(out: &mut Vec<u8>, text: &str) {
    put_u29(out, (text.len() as u32) << 1 | 1);
    out.extend(text.as_bytes());
}

/// Section 1.3.1: seven bits a byte, eight in the fourth.
fn put_u29(out: &mut Vec<u8>, number: u32) {
    let septet = |shift: u32| (number >> shift) as u8 & 0x7F;
    match number {
        0..0x80 => out.push(number as u8),
        0x80..0x4000 => out.extend([septet(7) | 0x80, septet(0)]),
        0x4000..0x20_0000 => out.extend([septet(14) | 0x80, septet(7) | 0x80, septet(0)]),
        _ => out.extend([septet(22) | 0x80, septet(15) | 0x80, septet(8) | 0x80, number as u8]),
    }
}

/// As the fixtures write it: `_result 1 null {level: "status"}`.
impl fmt::Display for Amf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amf::Number(number) => write!(f, "{number}"),
            Amf::Boolean(value) => write!(f, "{value}"),
            Amf::Text(text) => write!(f, "{text:?}"),
            Amf::Null => f.write_str("null"),
            Amf::Undefined => f.write_str("undefined"),
            Amf::Behind(value) => write!(f, "AMF3 {value:?}"),
            Amf::Object(properties) => {
                let properties: Vec<String> =
                    properties.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", properties.join(", "))
            }
        }
    }
}
