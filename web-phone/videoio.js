/**
 * VideoIO.swf without Flash: a page that was written for it works with this script added.
 *
 * ```html
 * <script src="/videoio.js"></script>        (type="module" will do as well; data-gateway="wss://…" for another host)
 * ```
 *
 * Every `<object>` or `<embed>` of a `VideoIO….swf`, now or later, is replaced by a `<video-io>` of the same id, which has
 * `setProperty`, `getProperty` and `callProperty`, and which `document[id]` and `window[id]` find. The page's global functions
 * `onCreationComplete`, `onPropertyChange` and `onCallback` are called with one object each, as Flash did. The host in
 * `rtmp://host/…` is not used: the gateway is the server of the page. Sound only: camera and video properties are kept and
 * have no effect. No `import` stands here, so that it runs as a classic script too.
 */
(() => {
  /** @type {HTMLScriptElement | null} */
  const script = /** @type {any} */ (document.currentScript) ?? document.querySelector('script[src*="videoio.js"]');
  const base = script?.src ?? location.href;
  const gateway = script?.dataset.gateway ?? '/rtmp';
  const load = (/** @type {string} */ path) => import(new URL(path, base).href);

  /** All that it says to people. */
  const SAYS = { off: 'not connected', connected: 'connected', call: 'in call', click: 'Click here for sound' };

  /** @typedef {string | number | boolean | null | string[]} Value */

  /** What VideoIO has, and how it begins. @type {Record<string, Value>} */
  const DEFAULTS = {
    src: null, url: null, scheme: null, args: [], publish: null, play: null, farID: null, group: null, nearID: null,
    recordMode: 'live', playMode: 'live', bidirection: false, autoplay: true, recording: false, playing: false, live: false, record: false,
    camera: false, microphone: false, codec: 'Speex', rate: 16, encodeQuality: 6, framesPerPacket: 1, silenceLevel: 0, gain: 0.5,
    echoSuppression: true, echoCancel: true, enhancedMicrophone: true, level: 0, sound: true, volume: 0.5, microphoneNames: [], microphoneName: 'default',
    deviceAllowed: false, privacyEvent: false, bandwidth: 0, currentTime: 0, liveDelay: 0, quality: 1, bufferTime: -1, bufferTimeMax: -1,
    objectEncoding: 3, proxyType: 'none', controls: false, fullscreen: false, display: null, poster: null, volumeStep: 0.1,
    cameraName: 'default', cameraNames: [], cameraWidth: 320, cameraHeight: 240, cameraFPS: 12, cameraQuality: 0, cameraBandwidth: 0, videoCodec: 'default',
  };
  /** Set by us alone. */
  const READ_ONLY = ['level', 'nearID', 'microphoneNames', 'deviceAllowed', 'bandwidth', 'currentTime', 'liveDelay', 'quality', 'scheme'];
  /** Of the address: texts, and truths (anything but "false"). */
  const TEXT_KEYS = ['publish', 'play', 'farID', 'group', 'recordMode', 'playMode'], TRUTH_KEYS = ['live', 'record', 'bidirection'];

  /** @param {string} name @param {object} event */
  function tellPage(name, event) {
    const handler = /** @type {any} */ (window)[name];
    if (typeof handler === 'function') handler(event);
  }

  /** @param {string} query @returns {[string, string][]} not decoded, as VideoIO does not */
  const pairs = (query) => query.split('&').filter(Boolean).map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
  });

  class VideoIO extends HTMLElement {
    /** @type {Record<string, Value>} */
    #values = { ...DEFAULTS };
    /** @type {any} NetConnection */
    #connection = null;
    /** @type {any} AudioEngine */
    #engine = null;
    /** @type {Promise<{feed: MessagePort, listen: MessagePort}> | null} */
    #media = null;
    /** @type {{publish?: any, play?: any}} NetStreams */
    #streams = {};
    #label = document.createElement('div');

    connectedCallback() {
      if (this.shadowRoot) return;
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`:host { display: inline-block; overflow: hidden; background: #20262e; color: #cfd8e3; font: 13px/1.4 system-ui, sans-serif; border-radius: 4px; }
        div { padding: 8px; overflow-wrap: anywhere; border-bottom: 4px solid transparent; border-image: linear-gradient(90deg, #4fd1ac var(--level, 0%), transparent 0) 1; }`);
      const root = this.attachShadow({ mode: 'open' });
      root.adoptedStyleSheets = [sheet];
      root.append(this.#label);
      this.#label.setAttribute('role', 'status');
      this.#show();
      this.addEventListener('click', () => this.#engine?.wake());
      void this.#listDevices();
    }

    /** @param {string} name @param {any} value */
    setProperty(name, value) {
      if (!Object.hasOwn(DEFAULTS, name) || READ_ONLY.includes(name)) return;
      const empty = value === '' || value === undefined || value === null;
      this.#set(name, empty ? null : this.#typed(name, value));
    }

    /** @param {string} name @returns {any} */
    getProperty(name) {
      const value = Object.hasOwn(DEFAULTS, name) ? this.#values[name] : null;
      return Array.isArray(value) ? [...value] : value;
    }

    /** @param {string} name @param {...any} args */
    callProperty(name, ...args) {
      if (name === 'call') {
        const [method, ...rest] = args;
        this.#connection?.call(method, ...rest).catch(() => {}); // VideoIO passes no responder
      } else if (name === 'showSettings') void this.#mediaReady();
    }

    /** To the type that the property has. @param {string} name @param {any} value @returns {Value} */
    #typed(name, value) {
      const kind = typeof DEFAULTS[name];
      if (kind === 'boolean') return value !== false && value !== 'false';
      if (kind === 'number') return Number(value);
      return Array.isArray(value) ? value.map(String) : String(value);
    }

    /** @param {string} name @param {Value} value */
    #set(name, value) {
      const kind = typeof DEFAULTS[name];
      if (value === null && kind === 'boolean') value = false;
      if (value === null && kind === 'number') value = 0;
      if (value === this.#values[name]) return;
      switch (name) {
        case 'src': return this.#setSource(/** @type {string | null} */ (value));
        case 'url': this.#change(name, value); return this.#connect();
        case 'publish': case 'play': return this.#setStream(name, /** @type {string | null} */ (value));
        case 'recording': case 'playing': if (!value) this.#closeStreams(); return;
        default: this.#change(name, value); this.#apply(name, value);
      }
    }

    /** Stores, and tells the page. @param {string} name @param {Value} value */
    #change(name, value) {
      const oldValue = this.#values[name];
      if (oldValue === value) return;
      this.#values[name] = value;
      this.#show();
      if (['string', 'boolean', 'number'].includes(typeof value)) tellPage('onPropertyChange', { objectID: this.id, property: name, oldValue, newValue: value });
    }

    /** @param {string | null} src `rtmp://host/sip/user@domain?arg=…&publish=…` */
    #setSource(src) {
      this.#change('src', src);
      if (src === null) return this.#disconnect();
      const [url, query = ''] = src.split(/\?(.*)/s);
      const given = pairs(query);
      const last = (/** @type {string} */ key) => given.filter(([name]) => name === key).pop()?.[1];
      for (const key of TRUTH_KEYS) if (last(key) !== undefined) this.#change(key, last(key) !== 'false');
      for (const key of TEXT_KEYS.slice(2)) if (last(key) !== undefined) this.#change(key, last(key) ?? null);
      if (last('rate')) this.#change('rate', Number(last('rate'))); // every document shows it
      this.#values.args = given.filter(([name]) => name === 'arg').map(([, value]) => value);
      this.#values.scheme = url.split(':')[0];
      this.#values.url = null;
      this.#set('url', url);
      for (const key of /** @type {('publish' | 'play')[]} */ (['publish', 'play'])) if (last(key)) this.#setStream(key, last(key) ?? null);
    }

    /** To where `url` points; away from where it was. */
    #connect() {
      this.#disconnect();
      const { url, args } = this.#values;
      if (typeof url !== 'string' || !/^rtmp\w*:/.test(url)) return;
      const opening = load('./net-connection.js').then(async ({ NetConnection }) => {
        if (this.#values.url !== url || this.#connection !== placeholder) return;
        const connection = new NetConnection({ url: this.getAttribute('gateway') ?? gateway });
        this.#connection = connection;
        connection.addEventListener('invoke', (/** @type {CustomEvent} */ { detail: { name, args: values } }) =>
          tellPage('onCallback', { objectID: this.id, method: name, args: values }));
        connection.addEventListener('close', () => this.#connection === connection && this.#failed());
        await connection.connect(url, .../** @type {string[]} */ (args));
        if (this.#connection !== connection) return connection.close();
        this.#show(SAYS.connected);
        for (const kind of /** @type {const} */ (['publish', 'play'])) if (this.#values[kind] && this.#values.autoplay) void this.#openStream(kind);
      });
      const placeholder = { close() {}, call: async () => {} };
      this.#connection = placeholder;
      opening.catch(() => {}); // 'close' has told it
    }

    /** Refused, or broken: the page sees its `src` go. */
    #failed() {
      const oldValue = this.#values.src;
      this.#disconnect();
      this.#values.url = this.#values.src = null;
      this.#show();
      tellPage('onPropertyChange', { objectID: this.id, property: 'src', oldValue, newValue: null });
    }

    #disconnect() {
      this.#closeStreams();
      const connection = this.#connection;
      this.#connection = null;
      connection?.close();
      this.#show();
    }

    /** @param {'publish' | 'play'} kind @param {string | null} name */
    #setStream(kind, name) {
      const other = kind === 'publish' ? 'play' : 'publish';
      if (name && !this.#values.bidirection && this.#values[other]) this.#setStream(other, null);
      this.#change(kind, name);
      if (!name) this.#closeStream(kind);
      else if (this.#values.autoplay && this.#connection?.state === 'connected') void this.#openStream(kind);
    }

    /** @param {'publish' | 'play'} kind */
    async #openStream(kind) {
      const connection = this.#connection, name = this.#values[kind];
      const stale = () => this.#connection !== connection || this.#values[kind] !== name;
      try {
        const { feed, listen } = await this.#mediaReady();
        if (stale()) return;
        const stream = (this.#streams[kind] ??= await connection.createStream());
        if (stale()) return;
        if (kind === 'publish') {
          stream.feedFrom(feed);
          stream.publish(name);
          this.#engine.startSending(this.#codec());
          for (const property of ['live', 'microphone', 'recording']) this.#change(property, true);
        } else {
          stream.listenTo(listen);
          stream.play(name);
          this.#change('playing', true);
        }
      } catch (error) {
        this.#show(error instanceof Error ? error.message : String(error));
      }
    }

    #codec() {
      const name = String(this.#values.codec).toLowerCase();
      return name === 'pcmu' || name === 'pcma' ? name : this.#engine.wasm ? 'speex' : 'pcmu';
    }

    /** Loudspeaker and microphone, once a call. @returns {Promise<{feed: MessagePort, listen: MessagePort}>} */
    #mediaReady() {
      this.#media ??= (async () => {
        const { AudioEngine } = await load('./audio/engine.js');
        const { echoCancel, echoSuppression, gain, volume, sound, encodeQuality } = this.#values;
        this.#engine ??= this.#watched(new AudioEngine({
          echoCancellation: Boolean(echoCancel), noiseSuppression: Boolean(echoSuppression), gain: Number(gain) * 2, quality: Number(encodeQuality),
          volume: sound ? Number(volume) : 0,
        }));
        await this.#engine.open();
        await this.#engine.openMicrophone().then(() => this.#change('deviceAllowed', true), (/** @type {Error} */ error) => this.#show(error.message));
        void this.#listDevices();
        return this.#engine.openCall();
      })();
      this.#media.catch(() => { this.#media = null; });
      return this.#media;
    }

    /** @param {EventTarget} engine */
    #watched(engine) {
      engine.addEventListener('level', (event) => {
        const level = Math.round(/** @type {CustomEvent} */ (event).detail.in * 100) / 100;
        this.#label.style.setProperty('--level', `${level * 100}%`);
        if (this.#values.recording) this.#change('level', level);
      });
      engine.addEventListener('needgesture', () => this.#show(SAYS.click));
      return engine;
    }

    /** @param {'publish' | 'play'} kind */
    #closeStream(kind) {
      this.#streams[kind]?.close();
      this.#change(kind === 'publish' ? 'recording' : 'playing', false);
      if (kind === 'publish') for (const property of ['live', 'microphone']) this.#change(property, false);
      if (this.#values.publish || this.#values.play) return;
      this.#media = null;
      this.#engine?.closeCall();
    }

    #closeStreams() {
      for (const kind of /** @type {const} */ (['publish', 'play'])) {
        this.#values[kind] = null;
        this.#closeStream(kind);
      }
      this.#streams = {};
    }

    /** @param {string} name @param {Value} value */
    #apply(name, value) {
      const { sound, volume, echoCancel, echoSuppression } = this.#values;
      const engine = this.#engine;
      if (name === 'sound' || name === 'volume') void engine?.set({ volume: sound ? Number(volume) : 0 });
      if (name === 'gain') void engine?.set({ gain: Number(value) * 2 });
      if (name === 'echoCancel' || name === 'echoSuppression') void engine?.set({ echoCancellation: echoCancel, noiseSuppression: echoSuppression });
      if (name === 'microphoneName') void this.#chooseMicrophone(String(value));
      if (name === 'microphone') engine?.mute(!value);
    }

    async #listDevices() {
      const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
      this.#values.microphoneNames = devices.filter(({ kind, label }) => kind === 'audioinput' && label).map(({ label }) => label);
    }

    /** @param {string} name */
    async #chooseMicrophone(name) {
      const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
      await this.#engine?.set({ input: devices.find(({ label }) => label === name)?.deviceId ?? '' });
    }

    /** @param {string} [text] */
    #show(text) {
      const { url, recording, playing } = this.#values;
      this.#label.textContent = text ?? (!url ? SAYS.off : recording || playing ? `${SAYS.call}: ${url}` : String(url));
    }
  }
  customElements.define('video-io', VideoIO);

  /** @param {Element} flash */
  const movie = (flash) =>
    flash.getAttribute('data') ?? flash.getAttribute('src') ?? flash.querySelector('param[name="movie" i]')?.getAttribute('value') ?? '';

  /** @param {Element} flash `<object>` or `<embed>` */
  function replace(flash) {
    if (!/VideoIO[^/]*\.swf/i.test(movie(flash)) || !flash.isConnected) return;
    const inner = flash.querySelector('embed');
    const attribute = (/** @type {string} */ name) => flash.getAttribute(name) ?? inner?.getAttribute(name) ?? '';
    const vars = attribute('flashvars') || (flash.querySelector('param[name="flashVars" i]')?.getAttribute('value') ?? '');
    const element = /** @type {VideoIO} */ (document.createElement('video-io'));
    element.id = attribute('id') || attribute('name');
    for (const side of /** @type {const} */ (['width', 'height'])) {
      const size = attribute(side);
      if (size) element.style[side] = /^\d+$/.test(size) ? `${size}px` : size;
    }
    flash.replaceWith(element);
    for (const place of [document, window]) Object.defineProperty(place, element.id, { get: () => element, configurable: true });
    for (const [name, value] of pairs(vars)) element.setProperty(name, decodeURIComponent(value));
    setTimeout(() => tellPage('onCreationComplete', { objectID: element.id }));
  }

  const scan = () => document.querySelectorAll('object, embed').forEach((flash) => replace(flash));
  const begin = () => {
    scan();
    new MutationObserver(scan).observe(document.documentElement, { childList: true, subtree: true });
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', begin);
  else begin();
})();
