/**
 * A phone for a page.
 *
 * ```js
 * const phone = new Phone({ user: 'alice@example.com', password: 'secret' });
 * phone.addEventListener('incoming', ({ call }) => call.accept());
 * await phone.connect();
 * const call = phone.call('sip:bob@example.com');   // in a click: the microphone and the loudspeaker open now
 * await call.answered;
 * call.sendDigits('12#');
 * const { reason } = await call.ended;
 * ```
 *
 * States of a Phone:
 * ```text
 *   idle -> connecting -> ready <-> reconnecting
 *     \________^_________/  \__________/------> closed (disconnect(), another phone took the address, or refused)
 * ```
 * States of a Call:
 * ```text
 *   calling -> ringing -> active <-> held | remote-held
 *   incoming -----------> active            any -> ended
 * ```
 */
import { clean, parseAddress } from './address.js';
import { AudioEngine, Ringer, missing } from './audio/engine.js';
import { NetConnection, NetError } from './net-connection.js';
import { Quality } from './quality.js';

export { NetConnection, NetError, NetStream } from './net-connection.js';
export { missing } from './audio/engine.js';

/** @typedef {import('./audio/engine.js').AudioOptions} AudioOptions */
/** @typedef {'idle' | 'connecting' | 'ready' | 'reconnecting' | 'closed'} PhoneState */
/** @typedef {'calling' | 'ringing' | 'incoming' | 'active' | 'held' | 'remote-held' | 'ended'} CallState */
/**
 * @typedef {object} PhoneOptions
 * @property {string} user  address, `alice@example.com`
 * @property {string} [login]     digest user name; default: the user part of the address
 * @property {string} [password]  with it the phone registers and can be called
 * @property {string} [display]   name shown to others
 * @property {string | (() => Promise<string>)} [token]  instead of login and password; a function is asked before each connect:
 *   a PhoneError that it throws is final, anything else is tried again
 * @property {string} [gateway]   the WebSocket; default '/rtmp'
 * @property {'wideband' | 'narrowband'} [rate]
 * @property {string[]} [codecs]  words of the call API, in order of preference
 * @property {boolean} [reconnect]  default true
 * @property {boolean} [ringtone]   default true
 * @property {AudioOptions} [audio]
 */
/**
 * @typedef {object} CallEnd
 * @property {'local' | 'remote' | 'rejected' | 'missed' | 'network' | 'error'} by
 * @property {string} reason   for people; the SIP answer where there is one
 * @property {number} seconds  it lasted, 0 if it was never answered
 */

/** Words for a phone with Speex, and for one without. */
const WORDS = ['wideband', 'narrowband', 'pcmu', 'pcma', 'dtmf'];
const WORDS_G711 = ['pcmu', 'pcma', 'dtmf'];

/** What the phone asks to be told beyond siprtmp's indications. */
const TOPICS = ['registered', 'unregistered', 'dtmf', 'transferred', 'earlyMedia', 'stats'];

/** Milliseconds before each try to connect again; then the last for ever. Spread by a third, so that not all come at once. */
const RETRIES = [300, 1000, 2000, 4000, 8000, 15_000];

/** SIP answers that have a word of their own. @type {Record<string, string>} */
const CODES = {
  401: 'rejected', 403: 'rejected', 404: 'not-found', 408: 'timeout', 480: 'unavailable', 486: 'busy', 487: 'cancelled',
  488: 'no-common-codec', 600: 'busy', 603: 'declined',
};

/** `code` is for programs, `message` for people, `sip` the SIP answer where there is one. */
export class PhoneError extends Error {
  /** @param {string} code @param {string} message @param {string} [sip] */
  constructor(code, message, sip) {
    super(message);
    this.name = 'PhoneError';
    this.code = code;
    this.sip = sip;
  }
}

/** @param {string} reason `486 Busy Here`, or a sentence */
function sipError(reason) {
  const [, number] = /^(\d{3}) /.exec(reason) ?? [];
  return new PhoneError(CODES[number] ?? 'rejected', reason, number ? reason : undefined);
}

/** @param {unknown} error */
function phoneError(error) {
  if (error instanceof PhoneError) return error;
  if (error instanceof NetError) return error.code === 'rejected' ? sipError(error.message) : new PhoneError('network', error.message);
  if (error instanceof DOMException && error.name === 'NotAllowedError') return new PhoneError('microphone-denied', error.message);
  if (error instanceof DOMException && error.name === 'NotFoundError') return new PhoneError('microphone-missing', error.message);
  return new PhoneError('error', error instanceof Error ? error.message : String(error));
}

/** A token that could not be fetched is a gateway that cannot be reached, unless its giver said otherwise. @param {unknown} error @returns {never} */
function noToken(error) {
  throw error instanceof PhoneError ? error : new PhoneError('network', error instanceof Error ? error.message : String(error));
}

/** @param {string} type @param {object} [properties] */
const event = (type, properties = {}) => Object.assign(new Event(type), properties);

/**
 * Events: `state` ({state}), `registration` ({registered, reason}), `incoming` ({call}), `call` ({call}: any new one), `error` ({error}), `devicechange`,
 * `needgesture` (sound waits for a click).
 */
export class Phone extends EventTarget {
  /** @param {PhoneOptions} options */
  constructor(options) {
    super();
    this.options = { gateway: '/rtmp', reconnect: true, ringtone: true, ...options };
    /** @type {PhoneState} */
    this.state = 'idle';
    /** The call there is. @type {Call | null} */
    this.activeCall = null;
    this.audio = new AudioEngine(options.audio);
    this.devices = new Devices(this.audio);
    /** @type {NetConnection | null} */
    this.connection = null;
    /** @type {{publish: import('./net-connection.js').NetStream, play: import('./net-connection.js').NetStream} | null} */
    this.streams = null;
    /** @type {Promise<void> | null} */
    this.connecting = null;
    this.ringer = new Ringer();
    this.tries = 0;
    /** Keeps the screen on in a call. @type {Promise<WakeLockSentinel | null> | null} */
    this.awake = null;
    /** Whether calls come in: there is a password, and the registrar has not taken it back. */
    this.registered = false;
    /** Whether the gateway can transfer calls. */
    this.canTransfer = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retry = undefined;

    this.life = new AbortController();
    const { signal } = this.life;
    this.audio.addEventListener('needgesture', () => this.dispatchEvent(event('needgesture')));
    this.audio.addEventListener('input-lost', () => { if (this.activeCall) this.audio.set({ input: '' }).catch(() => {}); });
    navigator.mediaDevices?.addEventListener('devicechange', () => this.dispatchEvent(event('devicechange')), { signal });
    addEventListener('online', () => this.state === 'reconnecting' && this.#again(0), { signal });
    addEventListener('pagehide', () => this.connection?.close(), { signal });
  }

  /** Why this page cannot make a call; null if it can. */
  static get missing() {
    return missing();
  }

  /**
   * Connects, and registers if there is a password.
   * @param {{keepTrying?: boolean}} [options] keepTrying: a gateway that cannot be reached now is tried again
   * @returns {Promise<void>} rejected with a PhoneError: `rejected` and others by SIP answer, or `network`
   */
  connect({ keepTrying = false } = {}) {
    if (this.state === 'ready') return Promise.resolve();
    clearTimeout(this.retry);
    this.connecting ??= this.#connect(keepTrying).finally(() => { this.connecting = null; });
    return this.connecting;
  }

  /** @param {boolean} keepTrying */
  async #connect(keepTrying) {
    if (this.state !== 'reconnecting') this.#become('connecting');
    const { user, login, password, display, token, rate, gateway } = this.options;
    const connection = new NetConnection({ url: gateway });
    this.connection = connection;
    this.#listen(connection);
    try {
      const ticket = typeof token === 'function' ? await token().catch(noToken) : token;
      const credentials = ticket ? [ticket, ''] : [login || null, password || null];
      const last = rate ? [display || null, rate] : [display || null];
      await connection.connect(`rtmp://${location.host}/sip/${clean(user).replace(/^sip:/, '')}`, ...credentials, ...last);
      const [publish, play] = await Promise.all([connection.createStream(), connection.createStream()]);
      this.streams = { publish, play };
      this.registered = Boolean(ticket || password);
      // A gateway of siprtmp's kind refuses, and does without.
      this.canTransfer = await connection.call('subscribe', ...TOPICS).then(() => true, () => false);
      if (this.connection !== connection) throw new PhoneError('network', 'the connection was closed');
    } catch (reason) {
      const error = phoneError(reason);
      if (this.connection !== connection) throw error; // disconnect() was faster
      this.connection = null;
      connection.close();
      if (error.code === 'network' && (keepTrying || this.state === 'reconnecting')) this.#again();
      else this.#become('closed');
      throw error;
    }
    this.tries = 0;
    this.#become('ready');
  }

  /** Ends the call, the registration and the connection. */
  disconnect() {
    clearTimeout(this.retry);
    this.activeCall?.hangup();
    const { connection } = this;
    this.connection = null;
    connection?.close();
    this.#become('closed');
  }

  /** disconnect(), and lets go of everything else: this object is of no more use. */
  async dispose() {
    this.disconnect();
    this.life.abort();
    this.ringer.stop();
    await this.audio.close();
  }

  /**
   * Calls somebody. Returns at once; what comes of it is told by the call. Call it within a click.
   * @param {string} destination `sip:bob@example.com`, `bob`, `+15551234`
   * @param {{signal?: AbortSignal}} [options] aborting hangs up
   * @returns {Call}
   * @throws {PhoneError} `in-call` if there is one already, `insecure` or `browser` if there can be none
   */
  call(destination, { signal } = {}) {
    const why = missing();
    if (why) throw new PhoneError(why, 'this page has no microphone');
    if (this.activeCall) throw new PhoneError('in-call', 'there is a call already');
    const call = this.#add(new Call(this, 'out', parseAddress(destination)));
    signal?.addEventListener('abort', () => call.hangup(), { once: true });
    if (signal?.aborted) call.hangup();
    else void this.#dial(call, clean(destination));
    return call;
  }

  /** @param {Call} call @param {string} destination */
  async #dial(call, destination) {
    try {
      await Promise.all([this.connect(), this.#openAudio()]);
      if (call.state === 'ended') return;
      this.#openStreams(call);
      await this.connection?.call('invite', destination, ...this.#words());
    } catch (error) {
      call.finish('error', phoneError(error));
    }
  }

  /** Loudspeaker first, then the microphone: iOS routes by the order. */
  async #openAudio() {
    const open = this.audio.open();
    await Promise.all([open, this.audio.openMicrophone()]);
  }

  /** @param {Call} call */
  #openStreams(call) {
    if (!this.streams) throw new PhoneError('network', 'not connected');
    const { feed, listen } = this.audio.openCall();
    this.streams.play.listenTo(listen);
    this.streams.publish.feedFrom(feed);
    this.streams.play.play('remote');
    this.streams.publish.publish('local');
    call.quality.begin(this.audio, this.connection);
    this.awake = navigator.wakeLock?.request('screen').catch(() => null) ?? null;
  }

  #words() {
    const known = this.audio.wasm ? WORDS : WORDS_G711;
    return this.options.codecs?.filter((word) => this.audio.wasm || WORDS_G711.includes(word)) ?? known;
  }

  /** For Call. @param {Call} call */
  async answer(call) {
    this.ringer.stop();
    await this.#openAudio();
    if (call.state !== 'incoming') throw new PhoneError('cancelled', 'the caller has hung up');
    this.#openStreams(call);
    await this.connection?.call('accept', ...this.#words());
  }

  /** For Call: says something about it to the gateway. @param {string} name @param {...import('./net-connection.js').AmfValue} args */
  async tell(name, ...args) {
    if (!this.connection || this.state !== 'ready') throw new PhoneError('network', 'not connected');
    return this.connection.call(name, ...args);
  }

  /** For Call: it is over. @param {Call} call */
  remove(call) {
    if (this.activeCall !== call) return;
    this.activeCall = null;
    this.ringer.stop();
    this.audio.tones?.stop('ringback');
    this.audio.closeCall();
    void this.awake?.then((lock) => lock?.release());
    this.awake = null;
    this.streams?.publish.close();
    this.streams?.play.close();
  }

  /** @template {Call} T @param {T} call @returns {T} */
  #add(call) {
    this.activeCall = call;
    this.dispatchEvent(event('call', { call }));
    return call;
  }

  /** @param {NetConnection} connection */
  #listen(connection) {
    const call = () => (this.connection === connection ? this.activeCall : null);
    connection.client = {
      invited: (from) => this.#invited(String(from)),
      cancelled: () => call()?.finish('missed', new PhoneError('cancelled', 'the caller hung up')),
      ringing: (reason) => call()?.ringing(String(reason)),
      accepted: (audio) => call()?.accepted(audio),
      rejected: (reason) => call()?.finish('rejected', sipError(String(reason))),
      byed: () => call()?.finish('remote'),
      holded: (on) => call()?.holdedByRemote(Boolean(on)),
      registered: () => this.#registration(true),
      unregistered: (reason) => this.#registration(false, String(reason)),
      dtmf: (digit) => call()?.pressed(String(digit)),
      transferred: (status) => call()?.transferred(String(status)),
      stats: (figures) => call()?.quality.gatewaySays(figures),
      earlyMedia: () => this.audio.tones?.stop('ringback'),
    };
    connection.addEventListener('status', (status) => {
      const { code } = /** @type {CustomEvent} */ (status).detail;
      if (code === 'NetConnection.Connect.Closed') this.#replaced(connection);
    });
    connection.addEventListener('close', (closed) => this.#lost(connection, /** @type {CustomEvent} */ (closed).detail.reason));
  }

  /** @param {boolean} registered @param {string} [reason] */
  #registration(registered, reason = '') {
    if (this.registered === registered) return;
    this.registered = registered;
    this.dispatchEvent(event('registration', { registered, reason }));
  }

  /** @param {string} from */
  #invited(from) {
    if (this.activeCall) return void this.tell('reject', '486 Busy Here').catch(() => {});
    const call = this.#add(new Call(this, 'in', parseAddress(from)));
    if (this.options.ringtone) void this.ringer.start(this.audio.options.ring);
    this.dispatchEvent(event('incoming', { call }));
  }

  /** Another phone has registered the address. @param {NetConnection} connection */
  #replaced(connection) {
    if (this.connection !== connection) return;
    this.connection = null;
    this.activeCall?.finish('network', new PhoneError('replaced', 'another phone took over'));
    this.#become('closed');
    this.dispatchEvent(event('error', { error: new PhoneError('replaced', 'another phone has signed in with this address') }));
  }

  /** @param {NetConnection} connection @param {string} reason */
  #lost(connection, reason) {
    if (this.connection !== connection || this.state === 'connecting') return;
    this.streams = null;
    this.activeCall?.finish('network', new PhoneError('network', reason));
    if (this.connecting) return; // that try fails by itself
    this.connection = null;
    if (!this.options.reconnect) return this.#become('closed');
    this.#become('reconnecting');
    this.#again();
  }

  /** Tries again, later. @param {number} [delay] ms */
  #again(delay = RETRIES[Math.min(this.tries, RETRIES.length - 1)] * (0.83 + Math.random() / 3)) {
    this.tries++;
    this.#become('reconnecting');
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      this.connect().catch((error) => {
        if (error.code !== 'network') this.dispatchEvent(event('error', { error }));
      });
    }, delay);
  }

  /** @param {PhoneState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(event('state', { state }));
  }
}

let nextCallId = 1;

/**
 * One call. Events: `state` ({state}), `level` ({in, out}: 0 to 1), `stats` ({stats}), `quality` ({bars: 0 to 4, why}),
 * `dtmf` ({digits}: ours), `pressed` ({digit}: theirs), `mute` ({on}), `transfer` ({status}: how far it has got).
 */
export class Call extends EventTarget {
  /** Made by Phone only. @param {Phone} phone @param {'in' | 'out'} direction @param {{uri: string, display: string}} remote */
  constructor(phone, direction, remote) {
    super();
    this.id = nextCallId++;
    this.phone = phone;
    this.direction = direction;
    this.remote = remote;
    /** @type {CallState} */
    this.state = direction === 'in' ? 'incoming' : 'calling';
    this.muted = false;
    this.onHold = false;
    this.heldByRemote = false;
    /** @type {Date | null} */
    this.startedAt = null;
    /** @type {import('./audio/codecs.js').CodecName | null} */
    this.codec = null;
    /** @type {CallEnd | null} */
    this.end = null;
    /** A transfer under way. @type {{resolve: (nothing: void) => void, reject: (error: Error) => void} | undefined} */
    this.handover = undefined;
    this.quality = new Quality((type, detail) => this.dispatchEvent(event(type, detail)));
    /** Resolves when it is answered; rejected with a PhoneError if it ends before. @type {Promise<void>} */
    this.answered = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.answered.catch(() => {}); // whoever does not ask is not bothered
    /** Resolves when it is over. @type {Promise<CallEnd>} */
    this.ended = new Promise((resolve) => { this.over = resolve; });
  }

  /** Takes an incoming call; within a click. @returns {Promise<void>} resolves when both sides can speak */
  async accept() {
    if (this.state !== 'incoming') throw new PhoneError('state', `the call is ${this.state}`);
    try {
      await this.phone.answer(this);
    } catch (error) {
      throw phoneError(error);
    }
    return this.answered;
  }

  /** Declines an incoming call. @param {string} [reason] `486 Busy Here`, `603 Decline` */
  reject(reason = '603 Decline') {
    if (this.state !== 'incoming') return;
    void this.phone.tell('reject', reason).catch(() => {});
    this.finish('local', new PhoneError('declined', reason));
  }

  /** Ends it, whatever its state. */
  hangup() {
    if (this.state === 'ended') return;
    if (this.state === 'incoming') return this.reject();
    void this.phone.tell('bye').catch(() => {});
    this.finish('local', new PhoneError('cancelled', 'hung up'));
  }

  /** @param {boolean} [on] */
  mute(on = true) {
    this.muted = on;
    this.#silence();
    this.dispatchEvent(event('mute', { on }));
  }

  /** @param {boolean} [on] @returns {Promise<void>} */
  async hold(on = true) {
    if (!this.startedAt || this.end || on === this.onHold) return;
    this.onHold = on;
    this.#silence();
    this.#settleState();
    await this.phone.tell('hold', on);
  }

  /** @param {string} digits `0-9 * # A-D` @returns {Promise<void>} */
  async sendDigits(digits) {
    const wanted = digits.toUpperCase().replace(/[^0-9*#A-D]/g, '');
    if (!wanted || !this.startedAt || this.end) return;
    this.phone.audio.tones?.keys(wanted);
    this.dispatchEvent(event('dtmf', { digits: wanted }));
    await this.phone.tell('sendDTMF', wanted);
  }

  /**
   * Hands the far end over to somebody else. The call ends when that has come about.
   * @param {string} destination
   * @returns {Promise<void>} rejected with a PhoneError if it came to nothing; the call goes on then
   */
  async transfer(destination) {
    /** @type {Promise<void>} */
    const done = new Promise((resolve, reject) => { this.handover = { resolve, reject }; });
    done.catch(() => {});
    await this.phone.tell('transfer', clean(destination));
    return done;
  }

  /** For Phone. @param {string} status `100 Trying`, `200 OK`, `486 Busy Here`, or why it was not even asked */
  transferred(status) {
    this.dispatchEvent(event('transfer', { status }));
    if (/^1\d\d/.test(status)) return;
    if (/^2\d\d/.test(status)) this.handover?.resolve(undefined);
    else this.handover?.reject(sipError(status));
    this.handover = undefined;
  }

  /** For Phone. @param {string} digit */
  pressed(digit) {
    this.dispatchEvent(event('pressed', { digit }));
  }

  /** For Phone. @param {string} _reason */
  ringing(_reason) {
    if (this.state !== 'calling') return;
    this.#become('ringing');
    this.phone.audio.tones?.start('ringback');
  }

  /** For Phone. @param {unknown} audio the codec agreed on */
  accepted(audio) {
    if (this.startedAt || this.end) return;
    this.phone.audio.tones?.stop('ringback');
    const speex = this.phone.audio.wasm ? 'speex' : 'pcmu';
    this.codec = audio === 'pcmu' || audio === 'pcma' ? audio : speex;
    this.startedAt = new Date();
    this.phone.audio.startSending(this.codec);
    this.#silence();
    this.#settleState();
    this.settle?.resolve(undefined);
  }

  /** For Phone. @param {boolean} on */
  holdedByRemote(on) {
    this.heldByRemote = on;
    if (this.startedAt) this.#settleState();
  }

  /** For Phone. @param {CallEnd['by']} by @param {PhoneError} [error] */
  finish(by, error) {
    if (this.end) return;
    const seconds = this.startedAt ? (Date.now() - this.startedAt.getTime()) / 1000 : 0;
    this.end = { by, reason: error?.message ?? '', seconds };
    this.quality.stop();
    this.phone.remove(this);
    if (by === 'rejected') this.phone.audio.tones?.start('busy');
    else if (by === 'remote') this.phone.audio.tones?.start('ended');
    this.handover?.resolve(undefined);
    this.settle?.reject(error ?? new PhoneError('ended', 'the far end hung up'));
    this.#become('ended');
    this.over?.(this.end);
  }

  /** On hold nothing is said either. */
  #silence() {
    this.phone.audio.mute(this.muted || this.onHold);
  }

  #settleState() {
    this.#become(this.onHold ? 'held' : this.heldByRemote ? 'remote-held' : 'active');
  }

  /** @param {CallState} state */
  #become(state) {
    if (this.state === state || this.state === 'ended') return;
    this.state = state;
    this.dispatchEvent(event('state', { state }));
  }
}

/** Microphones and loudspeakers. */
export class Devices {
  /** @param {AudioEngine} audio */
  constructor(audio) {
    this.audio = audio;
  }

  /** Names are empty until the microphone was allowed once. @returns {Promise<{inputs: MediaDeviceInfo[], outputs: MediaDeviceInfo[]}>} */
  async list() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const of = (/** @type {string} */ kind) => all.filter((device) => device.kind === kind && device.deviceId);
    return { inputs: of('audioinput'), outputs: of('audiooutput') };
  }

  /** Asks for the microphone, and lets it go again. @returns {Promise<void>} */
  async allow() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error) => { throw phoneError(error); });
    for (const track of stream.getTracks()) track.stop();
  }

  /** @param {string} id '' for the system's choice; in a call the microphone changes at once */
  setInput(id) { return this.audio.set({ input: id }); }
  /** @param {string} id */
  setOutput(id) { return this.audio.set({ output: id }); }
  /** @param {string} id for the ringtone */
  setRing(id) { return this.audio.set({ ring: id }); }
}
