use super::*;
use crate::Limits;
use crate::amf::amf0::tests::any_value;
use crate::amf::{Reader, write_amf3_behind_marker};
use proptest::prelude::*;

/// Reads AMF3 values, each behind its marker.
fn read(values: &[&[u8]]) -> Result<Vec<Value>, Fault> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| [&[0x11], *value].concat()).collect();
    Reader::new(&bytes, &Limits::default()).rest()
}

fn one(bytes: &[u8]) -> Value {
    read(&[bytes]).unwrap().remove(0)
}

fn what(bytes: &[u8]) -> String {
    match read(&[bytes]).unwrap_err() {
        Fault::Malformed(what) | Fault::Protocol(what) | Fault::Limit(what) => what,
    }
}

#[test]
fn every_marker_is_read() {
    let cases: [(&[u8], Value); 17] = [
        (b"\x00", Value::Undefined),
        (b"\x01", Value::Null),
        (b"\x02", Value::Boolean(false)),
        (b"\x03", Value::Boolean(true)),
        (b"\x04\x05", 5.0.into()),
        (b"\x05\x3f\xf8\0\0\0\0\0\0", 1.5.into()),
        (b"\x06\x05hi", "hi".into()),
        (b"\x07\x09<a/>", Value::Xml("<a/>".into())),
        (b"\x08\x01\x42\x70\0\0\0\0\0\0", Value::Date { unix_ms: 1_099_511_627_776.0, zone: 0 }),
        (b"\x09\x05\x01\x04\x01\x04\x02", Value::Array(vec![1.0.into(), 2.0.into()])),
        // Names and elements: both kept, the elements by their number.
        (b"\x09\x03\x03k\x03\x01\x01", Value::EcmaArray(Object::new().with("k", true).with("0", Value::Null))),
        (b"\x0b\x09<a/>", Value::Xml("<a/>".into())),
        (b"\x0c\x05\xde\xad", Value::ByteArray(vec![0xde, 0xad])),
        (b"\x0d\x03\0\xff\xff\xff\xfe", Value::Array(vec![Value::Number(-2.0)])),
        (b"\x0e\x03\0\xff\xff\xff\xfe", Value::Array(vec![Value::Number(4_294_967_294.0)])),
        (b"\x0f\x03\0\x3f\xf8\0\0\0\0\0\0", Value::Array(vec![1.5.into()])),
        (b"\x10\x03\0\x01\x06\x03a", Value::Array(vec!["a".into()])),
    ];
    for (bytes, expected) in cases {
        assert_eq!(one(bytes), expected, "{bytes:02x?}");
        for cut in 1..bytes.len() {
            assert!(read(&[&bytes[..cut]]).is_err(), "cut at {cut}: {bytes:02x?}");
        }
    }
}

#[test]
fn integers_have_29_bits_and_a_sign() {
    let cases: [(&[u8], i32); 9] = [
        (b"\x04\x7f", 127),
        (b"\x04\x81\x00", 128),
        (b"\x04\xff\x7f", 16_383),
        (b"\x04\x81\x80\x00", 16_384),
        (b"\x04\xff\xff\x7f", 2_097_151),
        (b"\x04\x80\xc0\x80\x00", 2_097_152),
        (b"\x04\xbf\xff\xff\xff", 268_435_455),
        (b"\x04\xc0\x80\x80\x00", -268_435_456),
        (b"\x04\xff\xff\xff\xff", -1),
    ];
    for (bytes, number) in cases {
        assert_eq!(one(bytes), Value::Number(number.into()), "{bytes:02x?}");
        let mut written = Vec::new();
        write(&mut written, &mut Strings::new(), &Value::Number(number.into()));
        assert_eq!(written, bytes, "{number}");
    }
}

#[test]
fn objects_share_their_traits_and_strings() {
    // Sealed name "a", class "C": first inline, then by reference; the value "a" refers to the name.
    let bytes = b"\x09\x07\x01\x0a\x13\x03C\x03a\x04\x01\x0a\x01\x04\x02\x06\x02";
    let object = |number: f64| Value::Object(Object { class: Some("C".into()), ..Object::new().with("a", number) });
    assert_eq!(one(bytes), Value::Array(vec![object(1.0), object(2.0), "a".into()]));
}

#[test]
fn an_object_may_have_sealed_and_dynamic_names() {
    let bytes = b"\x0a\x1b\x01\x03a\x04\x01\x03b\x04\x02\x01";
    assert_eq!(one(bytes), Value::Object(Object::new().with("a", 1.0).with("b", 2.0)));
}

#[test]
fn a_reference_is_the_earlier_value_once_more_and_reaches_over_the_whole_message() {
    // The array is 0, its date 1; a second value of the same message refers to both date and string.
    let first = b"\x09\x07\x01\x08\x01\x42\x70\0\0\0\0\0\0\x08\x02\x06\x03s";
    let date = Value::Date { unix_ms: 1_099_511_627_776.0, zone: 0 };
    let values = read(&[first, b"\x08\x02", b"\x06\x00"]).unwrap();
    assert_eq!(values, [Value::Array(vec![date.clone(), date.clone(), "s".into()]), date, "s".into()]);
}

#[test]
fn references_to_itself_or_to_nothing_are_refused() {
    assert!(what(b"\x09\x03\x01\x09\x00").contains("AMF3 reference to 0, which is not complete"));
    assert!(what(b"\x0a\x08").contains("reference to 4"));
    assert!(what(b"\x06\x00").contains("unknown string"));
    assert!(what(b"\x0a\x01").contains("unknown traits"));
}

#[test]
fn the_wrappers_of_flex_give_what_they_hold() {
    let mut bytes = b"\x0a\x07\x43flex.messaging.io.ArrayCollection\x09\x03\x01\x04\x07".to_vec();
    assert_eq!(one(&bytes), Value::Array(vec![7.0.into()]));
    bytes[5] = b'F';
    assert!(what(&bytes).contains("encoding of its own"));
}

#[test]
fn hostile_sizes_and_depths_end_at_the_limits() {
    assert_eq!(what(&b"\x09\x03\x01".repeat(70_000)), "AMF nesting deeper than 16");
    assert_eq!(what(b"\x09\xff\xff\xff\xff\x01"), "AMF container of 268435455 entries exceeds limit 256");
    assert_eq!(what(b"\x0f\xff\xff\xff\xff\x01"), "AMF container of 268435455 entries exceeds limit 256");
    assert_eq!(what(b"\x0a\xff\xff\xff\xff\x01"), "AMF container of 33554431 entries exceeds limit 256");
    assert!(what(b"\x0c\xff\xff\xff\xff\x01").contains("268435455 bytes wanted, 1 there"));
    assert!(what(b"\x11\x01").contains("AMF3 marker 0x11"));
}

#[test]
fn strings_may_not_be_multiplied_by_references() {
    let long = [&b"\x06\x83\xd4\x61"[..], &[b'x'; 30_000]].concat();
    let mut values = vec![&long[..]];
    values.extend([&b"\x06\x00"[..]; 100]);
    assert_eq!(read(&values).unwrap_err(), Fault::limit("more than 262144 B of AMF text in a message"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::vec(any_value(), 0..4)) {
        let mut bytes = Vec::new();
        write_amf3_behind_marker(&mut bytes, &values);
        prop_assert_eq!(Reader::new(&bytes, &Limits::default()).rest().unwrap(), values);
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&[&bytes]);
    }
}
