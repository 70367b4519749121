use super::*;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Vec<Value>, Fault> {
    Reader::new(bytes, &Limits::default()).rest()
}

fn one(bytes: &[u8]) -> Value {
    let mut values = read(bytes).unwrap();
    assert_eq!(values.len(), 1);
    values.remove(0)
}

fn what(bytes: &[u8]) -> String {
    match read(bytes).unwrap_err() {
        Fault::Malformed(what) | Fault::Protocol(what) | Fault::Limit(what) => what,
    }
}

#[test]
fn every_marker_is_read() {
    let object = || Object::new().with("a", 1.0);
    let cases: [(&[u8], Value); 15] = [
        (b"\x00\x40\x09\x21\xfb\x54\x44\x2d\x18", Value::Number(std::f64::consts::PI)),
        (b"\x01\x00", Value::Boolean(false)),
        (b"\x01\x07", Value::Boolean(true)),
        (b"\x02\0\x03\xe2\x82\xac", Value::String("€".into())),
        (b"\x03\0\x01a\0\x3f\xf0\0\0\0\0\0\0\0\0\x09", Value::Object(object())),
        (b"\x05", Value::Null),
        (b"\x06", Value::Undefined),
        // The count of an ECMA array is not believed: 0 and 2^32 - 1 give the same.
        (b"\x08\0\0\0\0\0\x01a\0\x3f\xf0\0\0\0\0\0\0\0\0\x09", Value::EcmaArray(object())),
        (b"\x08\xff\xff\xff\xff\0\x01a\0\x3f\xf0\0\0\0\0\0\0\0\0\x09", Value::EcmaArray(object())),
        (b"\x0a\0\0\0\x02\x05\x01\x01", Value::Array(vec![Value::Null, Value::Boolean(true)])),
        (b"\x0b\x42\x70\0\0\0\0\0\0\xff\xc4", Value::Date { unix_ms: 1_099_511_627_776.0, zone: -60 }),
        (b"\x0c\0\0\0\x02hi", Value::String("hi".into())),
        (b"\x0d", Value::Unsupported),
        (b"\x0f\0\0\0\x04<a/>", Value::Xml("<a/>".into())),
        (
            b"\x10\0\x01C\0\x01a\0\x3f\xf0\0\0\0\0\0\0\0\0\x09",
            Value::Object(Object { class: Some("C".into()), ..object() }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(one(bytes), expected, "{bytes:02x?}");
        for cut in 1..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}: {bytes:02x?}");
        }
    }
}

#[test]
fn reserved_and_unknown_markers_are_refused_with_their_place() {
    for marker in [0x04, 0x09, 0x0e, 0x12, 0xff] {
        assert_eq!(what(&[5, marker]), format!("AMF: marker 0x{marker:02x} at byte 1 of the message"));
    }
}

#[test]
fn a_reference_is_the_earlier_value_once_more() {
    // [ {}, reference to the object ] inside an array: the array is 0, the object 1.
    let values = one(b"\x0a\0\0\0\x02\x03\0\x01a\x05\0\0\x09\x07\0\x01");
    let object = Value::Object(Object::new().with("a", Value::Null));
    assert_eq!(values, Value::Array(vec![object.clone(), object]));
}

#[test]
fn a_reference_to_itself_or_to_nothing_is_refused() {
    assert!(what(b"\x0a\0\0\0\x01\x07\0\0").contains("reference to 0, which is not complete"));
    assert!(what(b"\x08\0\0\0\x01\0\x01a\x07\0\0\0\0\x09").contains("reference to 0"));
    assert!(what(b"\x07\xff\xff").contains("reference to 65535"));
}

#[test]
fn references_to_references_do_not_explode() {
    // Each array holds the one before 200 times: 200^n values, asked for in 600 bytes a level.
    let mut bytes = b"\x0a\0\0\0\x01\x05".to_vec();
    for level in 0..8u16 {
        bytes.extend(b"\x0a\0\0\0\xc8");
        for _ in 0..200 {
            bytes.push(7);
            bytes.extend(level.to_be_bytes());
        }
    }
    assert_eq!(what(&bytes), "more than 1024 AMF values in a message");
}

#[test]
fn text_may_not_be_multiplied_by_references() {
    let mut bytes = b"\x0a\0\0\0\x01\x02\x75\x30".to_vec();
    bytes.extend([b'x'; 30_000]);
    for _ in 0..100 {
        bytes.extend(b"\x07\0\0");
    }
    assert_eq!(what(&bytes), "more than 262144 B of AMF text in a message");
}

#[test]
fn nesting_stops_at_the_limit() {
    let arrays = |levels: usize| [b"\x0a\0\0\0\x01".repeat(levels), vec![5]].concat();
    assert!(read(&arrays(16)).is_ok());
    assert_eq!(what(&arrays(17)), "AMF nesting deeper than 16");
    assert_eq!(what(&arrays(70_000)), "AMF nesting deeper than 16");
    assert_eq!(what(&b"\x03\0\x01a".repeat(70_000)), "AMF nesting deeper than 16");
    assert_eq!(what(&b"\x08\0\0\0\0\0\x01a".repeat(70_000)), "AMF nesting deeper than 16");
}

#[test]
fn declared_counts_and_lengths_cost_nothing() {
    assert_eq!(what(b"\x0a\xff\xff\xff\xff\x05"), "AMF container of 4294967295 entries exceeds limit 256");
    assert_eq!(what(b"\x0c\xff\xff\xff\xffa"), "AMF string of 4294967295 B exceeds limit 32768");
    assert_eq!(what(b"\x02\0\x09abc"), "AMF: 9 bytes wanted, 3 there, at byte 3 of the message");
    let many = [b"\x03".to_vec(), b"\0\x01a\x05".repeat(257), b"\0\0\x09".to_vec()].concat();
    assert_eq!(what(&many), "AMF container of 257 entries exceeds limit 256");
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_place() {
    assert_eq!(what(b"\x02\0\x03ab\xff"), "AMF: text that is not UTF-8 at byte 5 of the message");
}

#[test]
fn a_property_may_have_an_empty_name() {
    assert_eq!(one(b"\x03\0\0\x05\0\0\x09"), Value::Object(Object::new().with("", Value::Null)));
}

#[test]
fn a_name_too_long_for_its_length_field_is_cut_at_a_character() {
    let name = "é".repeat(40_000);
    let mut bytes = Vec::new();
    write(&mut bytes, &Value::Object(Object::new().with(name, Value::Null)));
    assert_eq!(bytes[1..3], [0xff, 0xfe]);
}

/// Any value that both encodings can carry, with bits compared (NaN equals itself).
pub(in crate::amf) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::Undefined),
        any::<bool>().prop_map(Value::Boolean),
        prop_oneof![any::<i32>().prop_map(f64::from), prop::num::f64::NORMAL, Just(-0.0), Just(f64::INFINITY)]
            .prop_map(Value::Number),
        ".{0,12}".prop_map(Value::String),
        ".{0,12}".prop_map(Value::Xml),
        (prop::num::f64::NORMAL).prop_map(|unix_ms| Value::Date { unix_ms, zone: 0 }),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::ByteArray),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let names = || prop::collection::vec(("[a-c€]{1,3}", inner.clone()), 0..5);
        let class = prop::option::of("[A-Z][a-z.]{0,6}");
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            (class, names()).prop_map(|(class, properties)| Value::Object(Object { class, properties })),
            // AMF3 knows an array without names as a dense one only.
            (("[a-c]{1,3}", inner.clone()), names()).prop_map(|(first, mut properties)| {
                properties.push(first);
                Value::EcmaArray(Object { class: None, properties })
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::vec(any_value(), 0..4)) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write(&mut bytes, value));
        prop_assert_eq!(read(&bytes).unwrap(), values);
    }

    #[test]
    fn a_date_keeps_its_zone(zone in any::<i16>()) {
        let mut bytes = Vec::new();
        write(&mut bytes, &Value::Date { unix_ms: 1.0, zone });
        prop_assert_eq!(one(&bytes), Value::Date { unix_ms: 1.0, zone });
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_damage_upsets_the_reader(value in any_value(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = Vec::new();
        write(&mut bytes, &value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes);
    }
}
