//! What AMF0 and AMF3 both describe: the values of ActionScript.

/// One ActionScript value, however it was encoded.
///
/// AMF3 integers are read as [`Value::Number`]: ActionScript itself converts freely between the two.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `undefined`.
    Undefined,
    /// The sender had something that AMF0 cannot carry (marker 0x0D).
    Unsupported,
    /// `true` or `false`.
    Boolean(bool),
    /// Any number; AMF0 knows only doubles.
    Number(f64),
    /// Text, UTF-8.
    String(String),
    /// A point in time.
    Date {
        /// Milliseconds since 1970-01-01 UTC.
        unix_ms: f64,
        /// Minutes; the AMF0 specification reserves it and says to send 0. AMF3 has no such field.
        zone: i16,
    },
    /// The text of an XML document.
    Xml(String),
    /// A dense array.
    Array(Vec<Value>),
    /// Named properties, in the order of the wire.
    Object(Object),
    /// An array with names as indices.
    EcmaArray(Object),
    /// Raw bytes (AMF3 only; in AMF0 it travels behind the AVM+ marker).
    ByteArray(Vec<u8>),
}

/// Named properties in the order of the wire, and the class they belong to, if it has a name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Alias of the class, for a typed object.
    pub class: Option<String>,
    /// The properties. A name may repeat; [`Object::get`] gives the last one, as ActionScript would.
    pub properties: Vec<(String, Value)>,
}

impl Object {
    /// An object of no class, with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// This object and one property more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The text of a property, if it is there and is text.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The number of a property, if it is there and is a number.
    pub fn get_number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_number)
    }
}

impl Value {
    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The properties, if this is an object or an array with names.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, if this is a dense array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// Whether there is nothing: `null` or `undefined`.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }

    /// What kind of value this is, for messages to people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Undefined => "undefined",
            Self::Unsupported => "unsupported",
            Self::Boolean(_) => "Boolean",
            Self::Number(_) => "Number",
            Self::String(_) => "String",
            Self::Date { .. } => "Date",
            Self::Xml(_) => "XML",
            Self::Array(_) => "Array",
            Self::Object(_) => "Object",
            Self::EcmaArray(_) => "associative Array",
            Self::ByteArray(_) => "ByteArray",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Vec<Value>> for Value {
    fn from(elements: Vec<Value>) -> Self {
        Self::Array(elements)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
