/**
 * The thread that holds the connection: WebSocket and RTMP session, away from the page, whose pauses would be heard and
 * whose timers stop when its tab is hidden. Audio passes between the worklets and here over ports of its own.
 *
 * ```text
 *   page --orders--> worker --RTMP in binary WebSocket messages--> gateway
 *   phone-audio --port 'feed'-->          --port 'listen'--> phone-audio
 * ```
 */
import { RtmpSession, info } from './rtmp/session.js';
import { Uplink } from './rtmp/uplink.js';

/** @typedef {import('./rtmp/amf0.js').AmfValue} AmfValue */
/**
 * What the page asks for.
 * @typedef {{type: 'connect', url: string, app: string, tcUrl: string, args: AmfValue[]}
 *   | {type: 'call', key: number, name: string, args: AmfValue[]}
 *   | {type: 'stream', stream: number, name: string, args: AmfValue[]}
 *   | {type: 'feed' | 'listen', stream: number, port: MessagePort}
 *   | {type: 'close'}} Order
 */
/**
 * What the page is told.
 * @typedef {{type: 'connected' | 'rejected', info: Record<string, AmfValue>}
 *   | {type: 'answer', key: number, ok: boolean, args: AmfValue[]}
 *   | {type: 'invoke', name: string, args: AmfValue[]}
 *   | {type: 'status', stream: number, info: Record<string, AmfValue>}
 *   | {type: 'traffic', rtt: number | null, dropped: number, waiting: number}
 *   | {type: 'closed', reason: string}} Report
 */

/** Published audio that waits in the socket for longer than so many messages (20 ms each) is dropped, message by message. */
const WAITING_MESSAGES = 9;
/** And never below so many bytes. */
const WAITING_BYTES = 800;
/** How often the far end is pinged without audio, ms: it keeps proxies from closing what seems idle. */
const PING = 5000;
/** How often the page is told of the traffic, ms. */
const TICK = 1000;
/** Without a byte for so long the connection is dead, whatever the socket says: the gateway pings too, and answers ours. */
const DEAD = 15_000;
/** From opening the socket to the end of the handshake. */
const OPEN_TIME = 10_000;

class Connection {
  /** @param {Extract<Order, {type: 'connect'}>} order @param {(report: Report) => void} report */
  constructor(order, report) {
    this.report = report;
    this.session = new RtmpSession();
    this.connectId = 0;
    /** @type {Map<number, number>} transaction -> the page's key */
    this.calls = new Map();
    /** @type {Map<number, MessagePort>} stream -> where its audio goes */
    this.listeners = new Map();
    this.dropped = 0;
    this.uplink = new Uplink();
    this.told = '';
    this.started = performance.now();
    this.heardAt = this.started;
    this.over = false;

    this.socket = new WebSocket(order.url);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => {
      this.session.start((bytes) => crypto.getRandomValues(bytes));
      this.flush();
    };
    this.socket.onmessage = ({ data }) => this.received(data, order);
    this.socket.onclose = ({ code, reason }) => this.end(reason || `the connection was closed (${code})`);
    this.timer = setInterval(() => this.tick(), TICK);
    this.opening = setTimeout(() => this.end('the gateway does not answer'), OPEN_TIME);
  }

  /** @param {unknown} data @param {Extract<Order, {type: 'connect'}>} order */
  received(data, order) {
    if (this.over) return;
    if (!(data instanceof ArrayBuffer)) return this.end('the gateway sent text');
    this.heardAt = performance.now();
    try {
      for (const event of this.session.receive(new Uint8Array(data))) this.event(event, order);
      this.flush();
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {import('./rtmp/session.js').SessionEvent} event @param {Extract<Order, {type: 'connect'}>} order */
  event(event, order) {
    switch (event.type) {
      case 'open':
        clearTimeout(this.opening);
        this.connectId = this.session.connect(order.app, order.tcUrl, order.args);
        break;
      case 'answer': this.answer(event); break;
      case 'invoke': this.report({ type: 'invoke', name: event.name, args: event.args }); break;
      case 'status': this.report(event); break;
      case 'pong': this.uplink.answered(Math.max(0, performance.now() - this.started - event.sent)); break;
      case 'audio': {
        const { timestamp, payload } = event;
        this.listeners.get(event.stream)?.postMessage({ timestamp, payload }, [payload.buffer]);
      }
    }
  }

  /** @param {Extract<import('./rtmp/session.js').SessionEvent, {type: 'answer'}>} event */
  answer({ id, ok, args }) {
    if (id === this.connectId) {
      this.connectId = 0;
      return this.report({ type: ok ? 'connected' : 'rejected', info: info(args[0]) });
    }
    const key = this.calls.get(id);
    this.calls.delete(id);
    if (key !== undefined) this.report({ type: 'answer', key, ok, args });
  }

  /** @param {Exclude<Order, {type: 'connect' | 'close'}>} order */
  order(order) {
    if (order.type === 'call') this.calls.set(this.session.call(order.name, order.args), order.key);
    if (order.type === 'stream') this.session.streamCommand(order.stream, order.name, order.args);
    if (order.type === 'listen') this.listeners.set(order.stream, order.port);
    if (order.type === 'feed') this.feed(order.stream, order.port);
    this.flush();
  }

  /** @param {number} stream @param {MessagePort} port */
  feed(stream, port) {
    /** @type {number | null} from the recorder's time to the connection's */
    let base = null;
    port.onmessage = ({ data: { timestamp, payload } }) => {
      const now = performance.now();
      base ??= now - this.started - timestamp;
      if (this.over || this.socket.readyState !== WebSocket.OPEN) return;
      const limit = Math.max(WAITING_BYTES, WAITING_MESSAGES * payload.length);
      if (this.socket.bufferedAmount > limit || this.uplink.late(now)) return void this.dropped++;
      this.session.audio(stream, Math.round(base + timestamp), payload);
      if (this.uplink.due(now)) this.ping(now);
      this.flush();
    };
  }

  /** @param {number} now */
  ping(now) {
    this.uplink.pinged(now);
    this.session.ping(now - this.started);
  }

  flush() {
    const open = this.socket.readyState === WebSocket.OPEN;
    for (const bytes of this.session.take()) if (open) this.socket.send(/** @type {Uint8Array<ArrayBuffer>} */ (bytes));
  }

  tick() {
    const now = performance.now();
    if (now - this.heardAt > DEAD) return this.end('the gateway has gone silent');
    if (this.session.stage === 'open' && now - this.uplink.askedAt >= PING) this.ping(now);
    this.flush();
    const { uplink: { trip: rtt }, dropped, socket: { bufferedAmount: waiting } } = this;
    if (this.told === (this.told = `${rtt} ${dropped} ${waiting}`)) return;
    this.report({ type: 'traffic', rtt, dropped, waiting });
  }

  /** @param {string} reason */
  end(reason) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    clearTimeout(this.opening);
    this.socket.close();
    this.report({ type: 'closed', reason });
  }
}

/** @type {Connection | null} */
let connection = null;

self.onmessage = (/** @type {MessageEvent<Order>} */ { data: order }) => {
  if (order.type === 'connect') connection = new Connection(order, (report) => self.postMessage(report));
  else if (order.type === 'close') connection?.end('closed');
  else connection?.order(order);
};
