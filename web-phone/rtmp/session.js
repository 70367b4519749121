/**
 * The phone's side of an RTMP connection as a state machine: bytes in, bytes and events out. No socket, no clock.
 *
 * ```text
 *   socket --receive()--> handshake -> chunks -> messages -> commands --events--> NetConnection
 *          <--take()----- handshake <- chunks <- messages <- commands <---------- connect(), call(), audio(), ...
 * ```
 */
import { decode, encode } from './amf0.js';
import { ChunkReader, ChunkWriter, ProtocolError } from './chunks.js';

/** @typedef {import('./amf0.js').AmfValue} AmfValue */
/**
 * `open`: the handshake is done; `answer`: to one of our calls; `invoke`: the gateway calls us; `status`: onStatus; `audio`: FLV
 * tag byte first.
 * @typedef {{type: 'open'}
 *   | {type: 'answer', id: number, ok: boolean, args: AmfValue[]}
 *   | {type: 'invoke', name: string, id: number, args: AmfValue[]}
 *   | {type: 'status', stream: number, info: Record<string, AmfValue>}
 *   | {type: 'audio', stream: number, timestamp: number, payload: Uint8Array<ArrayBuffer>}
 *   | {type: 'pong', sent: number}} SessionEvent
 */

/** Message types (sections 5.4, 6.2, 7.1). */
const SET_CHUNK_SIZE = 1, ABORT = 2, ACKNOWLEDGEMENT = 3, USER_CONTROL = 4, WINDOW_SIZE = 5, PEER_BANDWIDTH = 6,
  AUDIO = 8, COMMAND_AMF3 = 17, COMMAND = 20;
/** User control events. */
const PING_REQUEST = 6, PING_RESPONSE = 7;

const VERSION = 3;
const HANDSHAKE_BYTES = 1536;
/** One audio frame is one chunk, and so one WebSocket message. */
const CHUNK = 4096;
/** connect's transaction, by custom. */
const CONNECT_ID = 1;
/** Chunk stream of protocol control. */
const CONTROL = 2;

export class RtmpSession {
  constructor() {
    /** @type {'greeting' | 'echo' | 'open'} waiting for S0 and S1, for S2, for nothing */
    this.stage = 'greeting';
    /** @type {Uint8Array} */
    this.handshake = new Uint8Array(0);
    this.reader = new ChunkReader();
    this.writer = new ChunkWriter();
    /** @type {Uint8Array[]} */
    this.output = [];
    this.nextId = CONNECT_ID + 1;
    this.received = 0;
    this.acknowledged = 0;
    this.window = 0;
  }

  /** Begins the handshake, in its simple form (5.2). @param {(bytes: Uint8Array<ArrayBuffer>) => void} [fill] randomness for C1 */
  start(fill = (bytes) => bytes.fill(0x55)) {
    const greeting = new Uint8Array(1 + HANDSHAKE_BYTES);
    greeting[0] = VERSION;
    fill(greeting.subarray(9));
    this.output.push(greeting);
  }

  /** What has to be sent, one piece a message. @returns {Uint8Array[]} */
  take() {
    return this.output.splice(0);
  }

  /**
   * Takes bytes as the socket brings them.
   * @param {Uint8Array} bytes
   * @returns {SessionEvent[]}
   * @throws {Error} when they are not RTMP: the connection is of no more use
   */
  receive(bytes) {
    /** @type {SessionEvent[]} */
    const events = [];
    this.received = (this.received + bytes.length) >>> 0;
    const rest = this.stage === 'open' ? bytes : this.shake(bytes, events);
    for (const message of this.reader.read(rest)) this.message(message, events);
    this.acknowledge();
    return events;
  }

  /** @param {Uint8Array} bytes @param {SessionEvent[]} events @returns {Uint8Array} what follows the handshake */
  shake(bytes, events) {
    let all = new Uint8Array(this.handshake.length + bytes.length);
    all.set(this.handshake);
    all.set(bytes, this.handshake.length);
    if (this.stage === 'greeting' && all.length > 0 && all[0] !== VERSION) throw new ProtocolError(`version ${all[0]}`);
    if (this.stage === 'greeting' && all.length >= 1 + HANDSHAKE_BYTES) {
      this.output.push(all.slice(1, 1 + HANDSHAKE_BYTES)); // C2 repeats S1
      all = all.slice(1 + HANDSHAKE_BYTES);
      this.stage = 'echo';
    }
    if (this.stage === 'echo' && all.length >= HANDSHAKE_BYTES) {
      all = all.slice(HANDSHAKE_BYTES);
      this.stage = 'open';
      this.handshake = new Uint8Array(0);
      this.control(SET_CHUNK_SIZE, u32(CHUNK));
      this.writer.chunkSize = CHUNK;
      events.push({ type: 'open' });
      return all;
    }
    this.handshake = all;
    return new Uint8Array(0);
  }

  /** @param {import('./chunks.js').Message} message @param {SessionEvent[]} events */
  message({ type, stream, timestamp, payload }, events) {
    switch (type) {
      case SET_CHUNK_SIZE: {
        const size = get32(payload, 0) & 0x7fffffff;
        if (size < 1) throw new ProtocolError('chunk size 0');
        this.reader.chunkSize = size;
        break;
      }
      case WINDOW_SIZE: this.window = get32(payload, 0); break;
      case USER_CONTROL: this.userControl(payload, events); break;
      case AUDIO: if (payload.length > 1) events.push({ type: 'audio', stream, timestamp, payload }); break;
      case COMMAND: this.command(stream, payload, events); break;
      case COMMAND_AMF3: this.command(stream, payload.subarray(1), events); break;
      case ABORT: case ACKNOWLEDGEMENT: case PEER_BANDWIDTH: default: // nothing to do for a phone
    }
  }

  /** @param {Uint8Array} payload @param {SessionEvent[]} events */
  userControl(payload, events) {
    if (payload.length < 6) return;
    const event = (payload[0] << 8) | payload[1];
    if (event === PING_REQUEST) this.control(USER_CONTROL, Uint8Array.of(0, PING_RESPONSE, ...payload.subarray(2, 6)));
    if (event === PING_RESPONSE) events.push({ type: 'pong', sent: get32(payload, 2) });
  }

  /** @param {number} stream @param {Uint8Array} payload @param {SessionEvent[]} events */
  command(stream, payload, events) {
    const [name, number, , ...args] = decode(payload);
    if (typeof name !== 'string') throw new ProtocolError('a command without a name');
    const id = typeof number === 'number' ? number : 0;
    if (name === '_result' || name === '_error') events.push({ type: 'answer', id, ok: name === '_result', args });
    else if (name === 'onStatus') events.push({ type: 'status', stream, info: info(args[0]) });
    else {
      if (id !== 0) this.send(COMMAND, 0, encode(['_result', id, null]));
      events.push({ type: 'invoke', name, id, args });
    }
  }

  /** Section 5.4.3: told after every window. */
  acknowledge() {
    if (this.window === 0 || ((this.received - this.acknowledged) >>> 0) < this.window) return;
    this.acknowledged = this.received;
    this.control(ACKNOWLEDGEMENT, u32(this.received));
  }

  /** @param {string} app @param {string} tcUrl @param {AmfValue[]} args @returns {number} its transaction */
  connect(app, tcUrl, args) {
    const object = { app, tcUrl, flashVer: 'web-phone', objectEncoding: 0, fpad: false, audioCodecs: 0x0980 };
    this.send(COMMAND, 0, encode(['connect', CONNECT_ID, object, ...args]));
    return CONNECT_ID;
  }

  /** Calls a method of the gateway. @param {string} name @param {AmfValue[]} args @returns {number} its transaction */
  call(name, args) {
    const id = this.nextId++;
    this.send(COMMAND, 0, encode([name, id, null, ...args]));
    return id;
  }

  /** publish, play, closeStream: nothing but onStatus answers. @param {number} stream @param {string} name @param {AmfValue[]} args */
  streamCommand(stream, name, args) {
    this.send(COMMAND, stream, encode([name, 0, null, ...args]));
  }

  /**
   * @param {number} stream
   * @param {number} timestamp ms
   * @param {Uint8Array<ArrayBuffer>} payload FLV tag byte first
   */
  audio(stream, timestamp, payload) {
    this.send(AUDIO, stream, payload, timestamp);
  }

  /** @param {number} ms any number, comes back in 'pong' */
  ping(ms) {
    this.control(USER_CONTROL, Uint8Array.of(0, PING_REQUEST, ...u32(ms >>> 0)));
  }

  /** @param {number} type @param {number} stream @param {Uint8Array<ArrayBuffer>} payload @param {number} [timestamp] */
  send(type, stream, payload, timestamp = 0) {
    this.output.push(this.writer.write(3 + (stream % 60), { type, stream, timestamp, payload }));
  }

  /** @param {number} type @param {Uint8Array<ArrayBuffer>} payload */
  control(type, payload) {
    this.output.push(this.writer.write(CONTROL, { type, stream: 0, timestamp: 0, payload }));
  }
}

/** @param {AmfValue | undefined} value @returns {Record<string, AmfValue>} */
export const info = (value) =>
  value && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date) ? value : {};

/** @param {number} value */
const u32 = (value) => Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);

/** @param {Uint8Array} bytes @param {number} at */
function get32(bytes, at) {
  if (bytes.length < at + 4) throw new ProtocolError('a control message cut short');
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}
