/**
 * RTMP for a page, over a WebSocket: the classes of Flash's names, with promises.
 *
 * ```js
 * const nc = new NetConnection();
 * nc.client = { invited(from, to) { nc.call('accept'); }, byed() {} };
 * await nc.connect('rtmp://gateway/sip/alice@example.com', 'alice', 'secret');
 * const stream = await nc.createStream();
 * stream.play('remote');
 * ```
 */

/** @typedef {import('./rtmp/amf0.js').AmfValue} AmfValue */
/** @typedef {Record<string, AmfValue>} StatusInfo */
/** @typedef {import('./worker.js').Order} Order */
/** @typedef {import('./worker.js').Report} Report */

/** What the gateway refused, or why the connection broke. */
export class NetError extends Error {
  /** @param {string} code 'rejected', 'closed' or 'failed' @param {string} description the gateway's words */
  constructor(code, description) {
    super(description);
    this.name = 'NetError';
    this.code = code;
  }
}

/** @param {string} url absolute, or relative to the page @returns {string} ws: or wss: */
export function socketUrl(url) {
  const absolute = new URL(url, location.href);
  if (absolute.protocol === 'http:') absolute.protocol = 'ws:';
  if (absolute.protocol === 'https:') absolute.protocol = 'wss:';
  return absolute.href;
}

/**
 * One RTMP connection; connects once.
 *
 * Events: `status` (CustomEvent, detail: info of an onStatus of stream 0), `invoke` (detail: {name, args}, whether or not
 * the client has a handler), `traffic` (detail: {rtt, dropped, waiting}), `close` (detail: {reason}).
 */
export class NetConnection extends EventTarget {
  /** Handlers by name, for what the gateway calls. @type {Record<string, ((...args: any[]) => void) | undefined>} */
  client = {};

  /** @param {{url?: string}} [options] the gateway's WebSocket */
  constructor({ url = '/rtmp' } = {}) {
    super();
    this.url = url;
    /** @type {'new' | 'connecting' | 'connected' | 'closed'} */
    this.state = 'new';
    this.nextKey = 1;
    /** @type {Map<number, {resolve: (args: AmfValue[]) => void, reject: (error: Error) => void}>} */
    this.answers = new Map();
    /** @type {Map<number, NetStream>} */
    this.streams = new Map();
    /** @type {{resolve: (info: StatusInfo) => void, reject: (error: Error) => void} | null} */
    this.connecting = null;
    /** @type {Worker | null} */
    this.worker = null;
  }

  /**
   * @param {string} address `rtmp://host/sip/user@domain`; the host is not used: the WebSocket's address was given before
   * @param {...AmfValue} args login, password, display name, rate
   * @returns {Promise<StatusInfo>} rejected with a NetError whose message is the gateway's reason
   */
  connect(address, ...args) {
    if (this.state !== 'new') return Promise.reject(new NetError('failed', 'a NetConnection connects once'));
    this.state = 'connecting';
    const [tcUrl] = address.split('?');
    const app = tcUrl.replace(/^\w+:\/\/[^/]*\//, '');
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.worker = worker;
    worker.onmessage = ({ data }) => this.#report(data);
    worker.onerror = (event) => this.#ended(event.message || 'the worker could not be started');
    this.#order({ type: 'connect', url: socketUrl(this.url), app, tcUrl, args });
    return new Promise((resolve, reject) => { this.connecting = { resolve, reject }; });
  }

  /**
   * Calls a method of the gateway.
   * @param {string} name @param {...AmfValue} args
   * @returns {Promise<AmfValue>} what the result carries, as a rule nothing; NetError for `_error`
   */
  async call(name, ...args) {
    const [value] = await this.#ask(name, args);
    return value;
  }

  /** @returns {Promise<NetStream>} */
  async createStream() {
    const [id] = await this.#ask('createStream', []);
    const stream = new NetStream(this, Number(id));
    this.streams.set(stream.id, stream);
    return stream;
  }

  /** Ends the connection, and with it the registration and the call. */
  close() {
    this.#order({ type: 'close' });
    this.#ended('closed');
  }

  /** For NetStream. @param {Order} order @param {Transferable[]} [transfer] */
  order(order, transfer) {
    this.#order(order, transfer);
  }

  /** @param {Order} order @param {Transferable[]} [transfer] */
  #order(order, transfer = []) {
    this.worker?.postMessage(order, transfer);
  }

  /** @param {string} name @param {AmfValue[]} args @returns {Promise<AmfValue[]>} */
  #ask(name, args) {
    if (this.state !== 'connected') return Promise.reject(new NetError('closed', 'not connected'));
    const key = this.nextKey++;
    this.#order({ type: 'call', key, name, args });
    return new Promise((resolve, reject) => this.answers.set(key, { resolve, reject }));
  }

  /** @param {Report} report */
  #report(report) {
    if (this.state === 'closed') return;
    switch (report.type) {
      case 'connected':
        this.state = 'connected';
        this.connecting?.resolve(report.info);
        this.connecting = null;
        break;
      case 'rejected':
        this.connecting?.reject(new NetError('rejected', String(report.info.description ?? 'rejected')));
        this.connecting = null;
        this.close();
        break;
      case 'answer': this.#answer(report); break;
      case 'invoke':
        this.dispatchEvent(new CustomEvent('invoke', { detail: { name: report.name, args: report.args } }));
        if (Object.hasOwn(this.client, report.name)) this.client[report.name]?.(...report.args);
        break;
      case 'status':
        (this.streams.get(report.stream) ?? this).dispatchEvent(new CustomEvent('status', { detail: report.info }));
        break;
      case 'traffic': this.dispatchEvent(new CustomEvent('traffic', { detail: report })); break;
      case 'closed': this.#ended(report.reason);
    }
  }

  /** @param {Extract<Report, {type: 'answer'}>} report */
  #answer({ key, ok, args }) {
    const answer = this.answers.get(key);
    this.answers.delete(key);
    if (ok) answer?.resolve(args);
    else answer?.reject(new NetError('failed', String(/** @type {any} */ (args[0])?.description ?? 'refused')));
  }

  /** @param {string} reason */
  #ended(reason) {
    if (this.state === 'closed') return;
    this.state = 'closed';
    const { worker } = this;
    this.worker = null;
    setTimeout(() => worker?.terminate(), 500); // the socket's closing handshake
    const error = new NetError('closed', reason);
    this.connecting?.reject(error);
    this.connecting = null;
    for (const { reject } of this.answers.values()) reject(error);
    this.answers.clear();
    this.dispatchEvent(new CustomEvent('close', { detail: { reason } }));
  }
}

/** A stream of a connection: published by us, or played from the gateway. Event: `status` (CustomEvent, detail: info). */
export class NetStream extends EventTarget {
  /** @param {NetConnection} connection @param {number} id */
  constructor(connection, id) {
    super();
    this.connection = connection;
    this.id = id;
  }

  /** @param {string} name @param {string} [type] */
  publish(name, type = 'live') {
    this.#command('publish', name, type);
  }

  /** @param {string} name */
  play(name) {
    this.#command('play', name);
  }

  /** Publishes what comes over the port: {timestamp, payload} of a phone-audio worklet. @param {MessagePort} port */
  feedFrom(port) {
    this.connection.order({ type: 'feed', stream: this.id, port }, [port]);
  }

  /** Passes what is played on to the port, for a phone-audio worklet. @param {MessagePort} port */
  listenTo(port) {
    this.connection.order({ type: 'listen', stream: this.id, port }, [port]);
  }

  /** Ends publish or play; either may be called again. */
  close() {
    this.#command('closeStream');
  }

  /** @param {string} name @param {...AmfValue} args */
  #command(name, ...args) {
    this.connection.order({ type: 'stream', stream: this.id, name, args });
  }
}
