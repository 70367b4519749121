/**
 * `<web-phone>`: a whole phone as an element.
 *
 * ```html
 * <script type="module" src="web-phone-element.js"></script>
 * <web-phone gateway="/rtmp" domain="example.com" remember></web-phone>
 * ```
 *
 * Attributes: `gateway` (the WebSocket; `/rtmp`), `domain` (where guests, echo and hello live; `localhost`), `user`, `password`,
 * `login`, `display` (an account: signs in without asking), `token-url` (is fetched, with the page's cookies, for a token
 * before each connect; or the property `token`, a text or a function that is asked for one), `dial` (filled in), `theme` (`light`, `dark`), `compact` (no recent calls), `remember` (keeps account,
 * settings and recent calls on the device).
 *
 * Looks: custom properties `--phone-accent`, `--phone-ink`, … (ui/style.js), parts `header`, `sign-in`, `dial`, `call`, `settings`,
 * `input`, `keypad`, `key`, `button`, `action`, `state`, `timer`, `quality`, `avatar`, `digits`, `recent`.
 *
 * Events (bubbling, composed): `web-phone-state` (detail: {state}), `web-phone-call` (detail: {call}), `web-phone-incoming`
 * (detail: {call}).
 */
import { nameOf, shortUri } from './address.js';
import { Phone, PhoneError } from './phone.js';
import { callView } from './ui/call-view.js';
import { dialView } from './ui/dial-view.js';
import { clock, h, icon } from './ui/dom.js';
import { IncomingNotice } from './ui/notice.js';
import { settingsView } from './ui/settings-view.js';
import { signInView } from './ui/sign-in-view.js';
import { Store, guest } from './ui/store.js';
import { t } from './ui/strings.js';
import { styleSheet } from './ui/style.js';

export { setStrings } from './ui/strings.js';

/** @typedef {import('./phone.js').Call} Call */
/** @typedef {import('./ui/store.js').Account} Account */
/** @typedef {{element: HTMLElement, focus?: HTMLElement, dispose?: () => void, type?: (key: string) => void, send?: (keys: string) => void, input?: HTMLInputElement, fill?: () => void}} View */

/** How endings are said. @type {Record<string, Parameters<typeof t>[0]>} */
const ENDINGS = {
  busy: 'busy', declined: 'declined', 'not-found': 'notFound', unavailable: 'unavailable', timeout: 'timeout', 'no-common-codec': 'noCodec',
  'microphone-denied': 'microphone-denied', 'microphone-missing': 'microphone-missing', network: 'network', 'in-call': 'inCall', cancelled: 'callerGone',
};

export class WebPhoneElement extends HTMLElement {
  /** The phone underneath, once signed in. @type {Phone | null} */
  phone = null;
  /** @type {Account | null} */
  account = null;
  /** What `connect` is given instead of a password: set it before the element comes into the page. @type {string | (() => Promise<string>) | null} */
  token = null;
  /** @type {View | null} */
  #view = null;
  #showing = '';
  #store = new Store('web-phone', false);
  #notice = new IncomingNotice();
  #life = new AbortController();

  #dot = h('span', { class: 'dot' });
  #who = h('b', {});
  #stateText = h('span', {});
  #gear = h('button', { type: 'button', class: 'plain', 'aria-label': t('settings'), onclick: () => this.#toggleSettings() }, icon('settings'));
  #message = h('div', {});
  #live = h('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
  #stage = h('div', { class: 'phone', part: 'phone' });

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [styleSheet()];
    this.#stage.append(h('header', { part: 'header' }, this.#dot, h('div', { class: 'who' }, this.#who, this.#stateText), this.#gear), this.#message);
    root.append(this.#stage, this.#live);
  }

  connectedCallback() {
    this.#life = new AbortController();
    this.#store = new Store('web-phone', this.hasAttribute('remember'));
    document.addEventListener('keydown', (event) => this.#key(event), { signal: this.#life.signal });
    const account = this.#given() ?? this.#store.read('account');
    if (Phone.missing) this.#show('missing');
    else if (account?.user) this.#signIn(account);
    else this.#show('sign-in');
    this.#status();
  }

  disconnectedCallback() {
    this.#life.abort();
    this.#notice.close();
    this.#view?.dispose?.();
    void this.phone?.dispose();
    this.phone = null;
  }

  /** Where guests, echo and hello live. */
  get domain() {
    const given = this.getAttribute('domain');
    return given && !given.includes('{') ? given : 'localhost'; // a template that nobody filled in
  }

  /** Calls, as if dialled. @param {string} destination @returns {Call | null} null where there can be none; the phone says why */
  call(destination) {
    const { phone } = this;
    if (!phone) return null;
    try {
      this.#say('');
      return phone.call(destination);
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** An account in the attributes. @returns {Account | null} */
  #given() {
    const of = (/** @type {string} */ name) => this.getAttribute(name) ?? '';
    if (!of('user')) return null;
    return { user: of('user'), password: of('password'), login: of('login'), display: of('display'), guest: false, remember: false };
  }

  /** @param {Account} account @param {string} [then] whom to call at once */
  #signIn(account, then) {
    this.#store.write('account', account, account.remember);
    this.account = account;
    this.#say('');
    const phone = this.#makePhone(account);
    this.#show(then ? 'wait' : 'dial');
    const connected = phone.connect({ keepTrying: true });
    connected.catch((error) => this.#refused(phone, error));
    if (then) this.call(then); // within the click, which lets sound begin
  }

  /** @param {Account} account @returns {Phone} */
  #makePhone(account) {
    void this.phone?.dispose();
    const tokenUrl = this.getAttribute('token-url');
    const phone = new Phone({
      ...account, login: account.login || undefined, gateway: this.getAttribute('gateway') ?? '/rtmp',
      token: this.token ?? (tokenUrl ? () => fetchToken(tokenUrl) : undefined), audio: this.#store.read('audio') ?? {},
    });
    this.phone = phone;
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ listener) =>
      phone.addEventListener(type, (event) => this.phone === phone && listener(event));
    on('state', ({ state }) => {
      this.#status();
      this.#tell('state', { state });
    });
    on('registration', ({ registered, reason }) => {
      this.#status();
      if (!registered) this.#say(t('unregistered', { reason }), true);
    });
    on('call', ({ call }) => this.#follow(call));
    on('incoming', ({ call }) => this.#tell('incoming', { call }));
    on('error', ({ error }) => this.#refused(phone, error));
    on('needgesture', () => this.#offerSound());
    on('devicechange', () => this.#view?.fill?.());
    return phone;
  }

  /** The server did not want us. @param {Phone} phone @param {unknown} error */
  #refused(phone, error) {
    if (this.phone !== phone || !(error instanceof PhoneError) || error.code === 'network') return this.#status();
    const { account } = this;
    if (account?.guest && account.password && error.sip) {
      const call = phone.activeCall?.direction === 'out' ? phone.activeCall.remote.uri : undefined;
      this.#signIn({ ...account, password: '' }, call); // unregistered one can still call
      return this.#say(t('guestsNotRegistered'));
    }
    const text = error.code === 'replaced' ? t('replaced') : error.code === 'no-token' ? error.message : t('refused', { reason: error.message });
    if (!this.#given()) this.#signOut(false);
    this.#say(text, true);
  }

  /** @param {boolean} forget */
  #signOut(forget) {
    if (forget) this.#store.write('account', null);
    const { phone } = this;
    this.phone = null;
    void phone?.dispose();
    this.#show('sign-in');
    this.#status();
  }

  /** Shows a call, and what became of it. @param {Call} call */
  #follow(call) {
    this.#tell('call', { call });
    this.#say('');
    this.#show('call');
    if (call.direction === 'in') this.#notice.open(call, t('incomingCall'), Boolean(this.#store.read('notify')), () => this.focus());
    const name = nameOf(call.remote);
    this.#announce(call.direction === 'in' ? `${t('incomingCall')}: ${name}` : `${t('calling')} ${name}`);
    call.addEventListener('state', () => {
      this.#notice.close();
      if (call.state !== 'ended') this.#announce(t(call.state));
    });
    let why = /** @type {unknown} */ (null);
    call.answered.catch((error) => { why = error; });
    call.ended.then((end) => {
      this.#remember(call, end);
      this.#show(this.phone ? 'dial' : 'sign-in');
      this.#say(...this.#ending(end, name, why));
    });
  }

  /** @param {import('./phone.js').CallEnd} end @param {string} name @param {unknown} why @returns {[string, boolean]} text, and whether it is bad */
  #ending(end, name, why) {
    const code = why instanceof PhoneError ? why.code : '';
    if (end.by === 'missed') return [t('missedFrom', { name }), false];
    if (end.by === 'network') return [t('lost'), true];
    if (end.by === 'rejected' || end.by === 'error') return [ENDINGS[code] ? t(ENDINGS[code], { name }) : t('rejected', { reason: end.reason }), true];
    return [end.seconds ? t('endedAfter', { time: clock(end.seconds) }) : t('ended'), false];
  }

  /** @param {Call} call @param {import('./phone.js').CallEnd} end */
  #remember(call, end) {
    const answered = call.startedAt !== null;
    const kind = call.direction === 'in' ? (answered || end.by === 'local' ? 'incoming' : 'missed') : answered ? 'outgoing' : 'failed';
    this.#store.addRecent({ uri: call.remote.uri, display: call.remote.display, kind, at: Date.now(), seconds: end.seconds });
  }

  /** @param {Call} call */
  #answer(call) {
    call.accept().catch((error) => {
      this.#failed(error);
      if (call.state === 'incoming') this.#show('call'); // the button works again
    });
  }

  /** @param {unknown} error */
  #failed(error) {
    const code = error instanceof PhoneError ? error.code : '';
    const known = ENDINGS[code] ?? (code === 'insecure' || code === 'browser' ? code : null);
    this.#say(known ? t(known) : error instanceof Error ? error.message : String(error), true);
  }

  /** @param {string} name */
  #show(name) {
    const wasFocused = this.shadowRoot?.activeElement;
    const view = this.#make(name);
    this.#view?.element.remove();
    this.#view?.dispose?.();
    this.#view = view;
    this.#showing = name;
    this.#gear.hidden = name === 'sign-in' || name === 'missing';
    this.#gear.setAttribute('aria-expanded', String(name === 'settings'));
    this.#stage.append(view.element);
    if (name === 'call' || wasFocused) (view.focus ?? view.input)?.focus({ preventScroll: true });
  }

  /** @param {string} name @returns {View} */
  #make(name) {
    const { phone } = this;
    const call = phone?.activeCall;
    if (name === 'call' && call) {
      return callView({ call, transfer: phone.canTransfer, answer: () => this.#answer(call), sound: () => this.#toggleSettings(), failed: (error) => this.#failed(error) });
    }
    if (name === 'settings' && phone) return this.#settings(phone);
    if (name === 'missing') return this.#missing();
    if (name === 'sign-in' || !phone) {
      return signInView({ account: this.#store.read('account') ?? guest(this.domain), domain: this.domain, signIn: (account, then) => this.#signIn(account, then) });
    }
    return dialView({
      domain: this.domain, dial: this.getAttribute('dial') ?? '', compact: this.hasAttribute('compact'), recent: this.#store.recent,
      call: (destination) => this.call(destination), press: (key) => phone.audio.tones?.keys(key),
      clear: () => { this.#store.clearRecent(); this.#show('dial'); },
    });
  }

  /** @param {Phone} phone */
  #settings(phone) {
    return settingsView({
      options: phone.audio.options,
      list: () => phone.devices.list(),
      allow: () => phone.devices.allow().catch((error) => this.#failed(error)),
      change: (change) => {
        phone.audio.set(change).catch((error) => this.#say(t('soundFailed', { reason: error.message }), true));
        this.#store.write('audio', phone.audio.options);
      },
      notify: Boolean(this.#store.read('notify')) && globalThis.Notification?.permission === 'granted',
      setNotify: async (on) => {
        const granted = on && (await Notification.requestPermission()) === 'granted';
        this.#store.write('notify', granted);
        return granted;
      },
      back: () => this.#toggleSettings(),
      signOut: this.#given() || phone.activeCall ? null : () => this.#signOut(true),
    });
  }

  #toggleSettings() {
    const home = this.phone?.activeCall ? 'call' : 'dial';
    this.#show(this.#showing === 'settings' ? home : 'settings');
  }

  /** @returns {View} */
  #missing() {
    const insecure = Phone.missing === 'insecure';
    return {
      element: h('div', { class: 'view' }, h('div', { class: 'missing', role: 'alert' }, icon('micOff'),
        h('h2', {}, t(insecure ? 'insecureTitle' : 'browserTitle')), h('p', {}, t(insecure ? 'insecure' : 'browser')))),
    };
  }

  #status() {
    const { phone, account } = this;
    const state = phone?.state ?? 'idle';
    this.#dot.className = `dot ${state}`;
    this.#who.textContent = phone && account ? account.display || shortUri(account.user) : t('idle');
    const text = !phone ? '' : state === 'ready' && !phone.registered ? t('readyOutOnly') : t(state);
    if (this.#stateText.textContent !== text) this.#announce(text);
    this.#stateText.textContent = text;
  }

  /** @param {string} text @param {boolean} [bad] */
  #say(text, bad = false) {
    this.#message.className = text ? `notice ${bad ? 'bad' : ''}` : '';
    this.#message.textContent = text;
    if (text) this.#announce(text);
  }

  /** Browsers want a click before sound. */
  #offerSound() {
    const button = h('button', { type: 'button', class: 'notice', onclick: () => { this.phone?.audio.wake(); this.#say(''); } }, icon('speaker'), t('enableSound'));
    this.#message.className = '';
    this.#message.replaceChildren(button);
  }

  /** @param {string} text for screen readers */
  #announce(text) {
    this.#live.textContent = text;
  }

  /** @param {string} name @param {object} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(`web-phone-${name}`, { detail, bubbles: true, composed: true }));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const call = this.phone?.activeCall;
    const [target] = event.composedPath();
    const typing = target instanceof HTMLElement && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable);
    const elsewhere = typing && !event.composedPath().includes(this);
    if (event.altKey || event.ctrlKey || event.metaKey || elsewhere || event.defaultPrevented) return;
    if (event.key === 'Escape' && this.#showing === 'settings') return this.#toggleSettings();
    if (call && this.#showing === 'call' && !typing) this.#callKey(event, call, target);
    else if (!call && this.#showing === 'dial' && !typing && /^[0-9*#+]$/.test(event.key)) this.#view?.type?.(event.key);
  }

  /** @param {KeyboardEvent} event @param {Call} call @param {EventTarget} target */
  #callKey(event, call, target) {
    const onButton = target instanceof HTMLButtonElement;
    if (/^[0-9*#]$/.test(event.key)) this.#view?.send?.(event.key);
    else if (event.key === 'Escape') call.hangup();
    else if (event.key === 'Enter' && call.state === 'incoming' && !onButton) this.#answer(call);
    else if (event.key.toLowerCase() === 'm' && call.startedAt) call.mute(!call.muted);
    else if (event.key.toLowerCase() === 'h' && call.startedAt) call.hold(!call.onHold).catch((error) => this.#failed(error));
    else return;
    event.preventDefault();
  }
}

/** @param {string} url @returns {Promise<string>} rejected for good with a PhoneError, for now with any other */
async function fetchToken(url) {
  const response = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
  if (response.status >= 500) throw new Error(`${response.status}`);
  if (!response.ok) throw new PhoneError('no-token', t('noToken', { reason: `${response.status} ${response.statusText}`.trim() }));
  return (await response.text()).trim();
}

if (!customElements.get('web-phone')) customElements.define('web-phone', WebPhoneElement);
