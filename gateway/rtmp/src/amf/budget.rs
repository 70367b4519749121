//! A cursor over the bytes of one message, and what reading it may cost.

use crate::Limits;
use crate::error::Fault;

/// A stretch of the message.
pub(super) type Stretch = (usize, usize);

/// Reads forward through a message and counts what is built from it.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    limits: Limits,
    depth: usize,
    values: usize,
    bytes: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8], limits: &Limits) -> Self {
        Self { data, at: 0, limits: *limits, depth: 0, values: 0, bytes: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }

    /// Goes to another place, for a reference, and returns the one left.
    pub(super) fn jump(&mut self, to: usize) -> usize {
        std::mem::replace(&mut self.at, to)
    }

    pub(super) fn malformed(&self, what: &str) -> Fault {
        Fault::Malformed(format!("AMF: {what} at byte {} of the message", self.at))
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let rest = &self.data[self.at..];
        if length > rest.len() {
            return Err(self.malformed(&format!("{length} bytes wanted, {} there,", rest.len())));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N)?.try_into().expect("take gives as many as asked"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn double(&mut self) -> Result<f64, Fault> {
        self.array().map(f64::from_be_bytes)
    }

    /// Counts one value.
    pub(super) fn charge_value(&mut self) -> Result<(), Fault> {
        self.values += 1;
        if self.values > self.limits.amf_values {
            return Err(Fault::limit(format!("more than {} AMF values in a message", self.limits.amf_values)));
        }
        Ok(())
    }

    fn charge_bytes(&mut self, length: usize) -> Result<(), Fault> {
        self.bytes += length;
        if self.bytes > self.limits.amf_bytes {
            return Err(Fault::limit(format!("more than {} B of AMF text in a message", self.limits.amf_bytes)));
        }
        Ok(())
    }

    /// Text of a known length.
    pub(super) fn text(&mut self, length: usize) -> Result<String, Fault> {
        if length > self.limits.string_bytes {
            let limit = self.limits.string_bytes;
            return Err(Fault::limit(format!("AMF string of {length} B exceeds limit {limit}")));
        }
        self.charge_bytes(length)?;
        let from = self.at;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                self.at = from + error.valid_up_to();
                Err(self.malformed("text that is not UTF-8"))
            }
        }
    }

    /// The same stretch of text once more.
    pub(super) fn text_again(&mut self, (from, length): Stretch) -> Result<String, Fault> {
        let back = self.jump(from);
        let text = self.text(length);
        self.at = back;
        text
    }

    pub(super) fn raw(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        let bytes = self.take(length)?;
        self.charge_bytes(length)?;
        Ok(bytes.to_vec())
    }

    /// Refuses element or property number `count`, if it is one too many.
    pub(super) fn check_count(&self, count: usize) -> Result<(), Fault> {
        let limit = self.limits.amf_properties;
        if count > limit {
            return Err(Fault::limit(format!("AMF container of {count} entries exceeds limit {limit}")));
        }
        Ok(())
    }

    /// Goes a level down into a container. Pair with `leave`; an error ends the reading anyway.
    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > self.limits.amf_depth {
            return Err(Fault::limit(format!("AMF nesting deeper than {}", self.limits.amf_depth)));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
