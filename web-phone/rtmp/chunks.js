/**
 * RTMP's chunk streams (RTMP 1.0, section 5.3): messages are cut into chunks, and chunks leave out of their header what
 * the one before on the same chunk stream has said already.
 *
 * ```text
 *   Message -> ChunkWriter -> bytes ~~~ any cutting ~~~> ChunkReader -> Message
 * ```
 */

/**
 * @typedef {object} Message
 * @property {number} type       message type id: 8 audio, 20 AMF0 command, ...
 * @property {number} stream     message stream id; 0 is the connection itself
 * @property {number} timestamp  ms, 32 bit
 * @property {Uint8Array<ArrayBuffer>} payload
 */

/** Bytes that do not follow the protocol. */
export class ProtocolError extends Error {
  /** @param {string} what */
  constructor(what) {
    super(`RTMP: ${what}`);
    this.name = 'ProtocolError';
  }
}

/** Both directions begin with it. */
export const DEFAULT_CHUNK = 128;

/** Longest message taken, bytes. */
const MESSAGE_MAX = 256 * 1024;
/** Chunk streams known at one time. */
const CHUNK_STREAMS_MAX = 64;
/** From here on the timestamp is in four bytes of its own. */
const EXTENDED = 0xffffff;
/** Message header bytes by format. */
const HEADER_BYTES = [11, 7, 3, 0];

export class ChunkWriter {
  constructor() {
    /** Bytes of a chunk's body. The peer has to be told before it changes. */
    this.chunkSize = DEFAULT_CHUNK;
    /** @type {Map<number, {stream: number, type: number, length: number, timestamp: number}>} */
    this.last = new Map();
  }

  /**
   * @param {number} chunkStream 2 for protocol control, 3 and up otherwise (below 64)
   * @param {Message} message
   * @returns {Uint8Array<ArrayBuffer>} the whole message, so that it can be sent at once or not at all
   */
  write(chunkStream, { type, stream, timestamp, payload }) {
    timestamp >>>= 0;
    const last = this.last.get(chunkStream);
    const delta = last ? (timestamp - last.timestamp) >>> 0 : 0;
    // A step back is said in full, and a delta too long for three bytes too: peers read extended deltas differently.
    const full = !last || last.stream !== stream || delta >= EXTENDED;
    const format = full ? 0 : last.type === type && last.length === payload.length ? 2 : 1;
    const time = full ? timestamp : delta;
    const extended = time >= EXTENDED;

    const chunks = Math.max(1, Math.ceil(payload.length / this.chunkSize));
    const out = new Uint8Array(1 + HEADER_BYTES[format] + payload.length + (chunks - 1) + (extended ? 4 * chunks : 0));
    const view = new DataView(out.buffer);
    let at = 0;
    out[at++] = (format << 6) | chunkStream;
    put24(out, at, extended ? EXTENDED : time);
    at += 3;
    if (format < 2) {
      put24(out, at, payload.length);
      out[at + 3] = type;
      at += 4;
    }
    if (format === 0) {
      view.setUint32(at, stream, true);
      at += 4;
    }
    for (let start = 0; ; ) {
      if (extended) {
        view.setUint32(at, time);
        at += 4;
      }
      const part = payload.subarray(start, start + this.chunkSize);
      out.set(part, at);
      at += part.length;
      start += part.length;
      if (start >= payload.length) break;
      out[at++] = 0xc0 | chunkStream;
    }
    this.last.set(chunkStream, { stream, type, length: payload.length, timestamp });
    return out;
  }
}

/** @param {Uint8Array} out @param {number} at @param {number} value */
function put24(out, at, value) {
  out[at] = value >>> 16;
  out[at + 1] = (value >>> 8) & 0xff;
  out[at + 2] = value & 0xff;
}

/**
 * What is known of a chunk stream.
 * @typedef {{stream: number, type: number, length: number, timestamp: number, delta: number, extended: boolean,
 *   body: Uint8Array<ArrayBuffer>, filled: number}} ChunkStream
 */

export class ChunkReader {
  constructor() {
    this.chunkSize = DEFAULT_CHUNK;
    /** @type {Uint8Array} */
    this.pending = new Uint8Array(0);
    /** @type {Map<number, ChunkStream>} */
    this.streams = new Map();
  }

  /**
   * Takes bytes as they come; yields the messages that they complete. A Set Chunk Size has to be applied (to
   * `chunkSize`) before the next one is asked for.
   * @param {Uint8Array} bytes
   * @returns {Generator<Message, void>}
   * @throws {ProtocolError}
   */
  *read(bytes) {
    this.pending = this.pending.length ? joined(this.pending, bytes) : bytes;
    let at = 0;
    try {
      for (;;) {
        const step = this.chunk(this.pending.subarray(at));
        if (!step) return;
        at += step.length;
        if (step.message) yield step.message;
      }
    } finally {
      this.pending = this.pending.slice(at);
    }
  }

  /**
   * One chunk, if all of it is there.
   * @param {Uint8Array} bytes
   * @returns {{length: number, message?: Message} | null}
   */
  chunk(bytes) {
    if (bytes.length < 1) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const format = bytes[0] >> 6;
    let id = bytes[0] & 0x3f;
    let at = id < 2 ? 2 + id : 1;
    if (bytes.length < at + HEADER_BYTES[format]) return null;
    if (id === 0) id = 64 + bytes[1];
    else if (id === 1) id = 64 + bytes[1] + 256 * bytes[2];

    const known = this.streams.get(id);
    if (!known && format !== 0) throw new ProtocolError(`chunk stream ${id} begins without a full header`);
    // Nothing is stored before the whole chunk is there.
    const next = known ? { ...known } : fresh();
    if (format < 3) {
      if (next.filled > 0) throw new ProtocolError(`a new message within another on chunk stream ${id}`);
      const time = get24(bytes, at);
      next.extended = time === EXTENDED;
      next.delta = time;
      if (format < 2) {
        next.length = get24(bytes, at + 3);
        next.type = bytes[at + 6];
        if (next.length > MESSAGE_MAX) throw new ProtocolError(`a message of ${next.length} bytes`);
      }
      if (format === 0) next.stream = view.getUint32(at + 7, true);
      at += HEADER_BYTES[format];
    }
    if (next.extended) {
      if (bytes.length < at + 4) return null;
      if (format < 3) next.delta = view.getUint32(at);
      at += 4;
    }
    const part = Math.min(this.chunkSize, next.length - next.filled);
    if (bytes.length < at + part) return null;

    if (next.filled === 0) {
      next.timestamp = format === 0 ? next.delta : (next.timestamp + next.delta) >>> 0;
      next.body = new Uint8Array(next.length);
    }
    next.body.set(bytes.subarray(at, at + part), next.filled);
    next.filled += part;
    if (!known && this.streams.size >= CHUNK_STREAMS_MAX) throw new ProtocolError('too many chunk streams');
    this.streams.set(id, next);
    if (next.filled < next.length) return { length: at + part };
    next.filled = 0;
    const { type, stream, timestamp, body } = next;
    return { length: at + part, message: { type, stream, timestamp, payload: body } };
  }
}

/** @returns {ChunkStream} */
const fresh = () => ({
  stream: 0, type: 0, length: 0, timestamp: 0, delta: 0, extended: false, body: new Uint8Array(0), filled: 0,
});

/** @param {Uint8Array} bytes @param {number} at */
const get24 = (bytes, at) => (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];

/** @param {Uint8Array} a @param {Uint8Array} b */
function joined(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
