/**
 * AMF0, the encoding of RTMP's commands (Action Message Format 0, Adobe 2007).
 *
 * Each value is a marker byte and its body, big-endian. What the phone sends is null, booleans, numbers, strings and
 * plain objects; what it understands is all of AMF0 but references, and AMF3's marker is refused: the phone connects
 * with objectEncoding 0.
 */

/** @typedef {null | undefined | boolean | number | string | Date | AmfValue[] | {[name: string]: AmfValue}} AmfValue */

const NUMBER = 0, BOOLEAN = 1, STRING = 2, OBJECT = 3, NULL = 5, UNDEFINED = 6, ECMA_ARRAY = 8, OBJECT_END = 9,
  STRICT_ARRAY = 10, DATE = 11, LONG_STRING = 12, XML = 15, TYPED_OBJECT = 16;

/** How deep values may nest. */
const DEPTH_MAX = 16;

/** A message that is not AMF0, and where. */
export class AmfError extends Error {
  /** @param {string} what @param {number} offset bytes from the start of the message */
  constructor(what, offset) {
    super(`AMF0: ${what} at byte ${offset}`);
    this.name = 'AmfError';
  }
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/**
 * @param {Iterable<AmfValue>} values
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encode(values) {
  /** @type {number[]} */
  const out = [];
  for (const value of values) write(out, value, 0);
  return Uint8Array.from(out);
}

/** @param {number[]} out @param {AmfValue} value @param {number} depth */
function write(out, value, depth) {
  if (depth > DEPTH_MAX) throw new RangeError('AMF0: nested too deep');
  if (value === null) out.push(NULL);
  else if (value === undefined) out.push(UNDEFINED);
  else if (typeof value === 'boolean') out.push(BOOLEAN, value ? 1 : 0);
  else if (typeof value === 'number') out.push(NUMBER, ...double(value));
  else if (typeof value === 'string') writeString(out, value);
  else if (value instanceof Date) out.push(DATE, ...double(value.getTime()), 0, 0);
  else if (Array.isArray(value)) {
    out.push(STRICT_ARRAY, ...u32(value.length));
    for (const item of value) write(out, item, depth + 1);
  } else {
    out.push(OBJECT);
    for (const [name, item] of Object.entries(value)) {
      writeName(out, name);
      write(out, item, depth + 1);
    }
    out.push(0, 0, OBJECT_END);
  }
}

/** @param {number[]} out @param {string} text */
function writeString(out, text) {
  const bytes = utf8.encode(text);
  if (bytes.length > 0xffff) out.push(LONG_STRING, ...u32(bytes.length));
  else out.push(STRING, bytes.length >> 8, bytes.length & 0xff);
  for (const byte of bytes) out.push(byte);
}

/** @param {number[]} out @param {string} name */
function writeName(out, name) {
  const bytes = utf8.encode(name).subarray(0, 0xffff);
  out.push(bytes.length >> 8, bytes.length & 0xff, ...bytes);
}

/** @param {number} value */
function double(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/** @param {number} value */
const u32 = (value) => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];

/**
 * All the values of a message, in order.
 * @param {Uint8Array} bytes
 * @returns {AmfValue[]}
 * @throws {AmfError}
 */
export function decode(bytes) {
  const reader = new Reader(bytes);
  const values = [];
  while (!reader.atEnd) values.push(reader.value(0));
  return values;
}

class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  get atEnd() {
    return this.at >= this.bytes.length;
  }

  /** Steps over `length` bytes and returns where they began. @param {number} length */
  take(length) {
    if (length > this.bytes.length - this.at) throw new AmfError('cut short', this.at);
    const start = this.at;
    this.at += length;
    return start;
  }

  u8() { return this.bytes[this.take(1)]; }
  u16() { return this.view.getUint16(this.take(2)); }
  u32() { return this.view.getUint32(this.take(4)); }
  number() { return this.view.getFloat64(this.take(8)); }

  /** @param {number} length bytes */
  text(length) {
    const start = this.take(length);
    return fromUtf8.decode(this.bytes.subarray(start, start + length));
  }

  /** @param {number} depth @returns {AmfValue} */
  value(depth) {
    if (depth > DEPTH_MAX) throw new AmfError('nested too deep', this.at);
    const marker = this.u8();
    switch (marker) {
      case NUMBER: return this.number();
      case BOOLEAN: return this.u8() !== 0;
      case STRING: return this.text(this.u16());
      case NULL: return null;
      case UNDEFINED: return undefined;
      case LONG_STRING: case XML: return this.text(this.u32());
      case DATE: return this.date();
      case OBJECT: return this.properties(depth);
      case ECMA_ARRAY: this.u32(); return this.properties(depth);
      case TYPED_OBJECT: this.text(this.u16()); return this.properties(depth);
      case STRICT_ARRAY: return this.items(depth);
      default: throw new AmfError(`marker ${marker}`, this.at - 1);
    }
  }

  date() {
    const date = new Date(this.number());
    this.u16(); // time zone, always 0
    return date;
  }

  /** @param {number} depth */
  items(depth) {
    const count = this.u32();
    const items = [];
    for (let i = 0; i < count; i++) items.push(this.value(depth + 1)); // a false count ends at the end of the bytes
    return items;
  }

  /** @param {number} depth */
  properties(depth) {
    /** @type {{[name: string]: AmfValue}} */
    const object = {};
    for (;;) {
      const name = this.text(this.u16());
      if (name === '' && this.bytes[this.at] === OBJECT_END) {
        this.at += 1;
        return object;
      }
      const value = this.value(depth + 1);
      // Not an assignment: a property called __proto__ stays a property.
      Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
    }
  }
}
