/**
 * The page's side of the sound: microphone, loudspeaker, devices, and the worklet node between them.
 *
 * ```text
 *   getUserMedia -> phone-audio -> volume -> context's destination | <audio> with a sink of its own | loopback connection
 *                    (ports to the worker, see worklet.js)
 * ```
 *
 * The context runs at the device's own rate. It is opened in a click, closed never, and asleep between calls.
 */
import { Tones } from './tones.js';

/** @typedef {import('./codecs.js').CodecName} CodecName */
/**
 * @typedef {object} AudioOptions
 * @property {boolean} [echoCancellation]  default true
 * @property {boolean} [noiseSuppression]  default true
 * @property {boolean} [autoGainControl]   default true
 * @property {boolean} [loopback]  plays through a loopback WebRTC connection, for browsers whose echo canceller knows only
 *   what WebRTC plays; 40 ms more delay. Default false
 * @property {string} [input]   device id of the microphone; '' for the system's choice
 * @property {string} [output]  device id of the loudspeaker
 * @property {string} [ring]    device id for the ringtone
 * @property {number} [volume]  0 to 1, default 1
 * @property {number} [gain]    of the microphone, 0 to 2, default 1
 * @property {number} [quality] Speex, 0 to 10, default 8
 */

/** Why there can be no call in this page; null if there can. @returns {'insecure' | 'browser' | null} */
export function missing() {
  if (!globalThis.isSecureContext) return 'insecure';
  if (!navigator.mediaDevices?.getUserMedia || typeof AudioWorkletNode !== 'function') return 'browser';
  return null;
}

/** Fetched once a page. @type {Promise<ArrayBuffer | null> | null} */
let codec = null;

/** The bytes of speex.wasm; null where WebAssembly is forbidden or the file is not there. */
export function speexWasm() {
  codec ??= (async () => {
    try {
      const response = await fetch(new URL('./speex.wasm', import.meta.url));
      if (!response.ok) return null;
      const bytes = await response.arrayBuffer();
      return (await WebAssembly.compile(bytes)) && bytes;
    } catch {
      return null;
    }
  })();
  return codec;
}

/** Events: `level` (detail: {in, out}), `stats` (detail: the player's), `needgesture`, `input-lost`. */
export class AudioEngine extends EventTarget {
  /** @param {AudioOptions} [options] */
  constructor(options = {}) {
    super();
    /** @type {Required<AudioOptions>} */
    this.options = {
      echoCancellation: true, noiseSuppression: true, autoGainControl: true, loopback: false,
      input: '', output: '', ring: '', volume: 1, gain: 1, quality: 8, ...options,
    };
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {Promise<void> | null} */
    this.opening = null;
    /** @type {ArrayBuffer | null} */
    this.wasm = null;
    /** @type {MediaStream | null} */
    this.microphone = null;
    /** @type {MediaStreamAudioSourceNode | null} */
    this.source = null;
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    /** @type {GainNode | null} */
    this.volume = null;
    /** @type {Tones | null} */
    this.tones = null;
    /** A way out other than the context's own. @type {{stream: MediaStream, close: () => void} | null} */
    this.exit = null;
    this.muted = false;
    /** The change of the way out that is under way. @type {Promise<void>} */
    this.routing = Promise.resolve();
    /** The microphone asked for last. @type {string | null} */
    this.input = null;
    /** Counts what was asked of the microphone. */
    this.wish = 0;
  }

  /** Makes everything but the microphone ready. Call it within a click, or sound may stay off. @returns {Promise<void>} */
  open() {
    if (!this.context) {
      this.context = new AudioContext({ latencyHint: 'interactive' });
      this.volume = new GainNode(this.context, { gain: this.options.volume });
      this.tones = new Tones(this.context, this.volume);
      this.volume.connect(this.context.destination);
    }
    this.wake();
    this.opening ??= this.#load(this.context).catch((error) => {
      this.opening = null;
      throw error;
    });
    return this.opening;
  }

  /** @param {AudioContext} context */
  async #load(context) {
    const [wasm] = await Promise.all([speexWasm(), context.audioWorklet.addModule(new URL('./worklet.js', import.meta.url))]);
    this.wasm = wasm;
    if (this.options.output || this.options.loopback) await this.#route();
  }

  /** Lets the context run; browsers want a gesture of the user's for that. */
  wake() {
    const { context } = this;
    if (!context || context.state === 'running' || context.state === 'closed') return;
    const waiting = setTimeout(() => this.dispatchEvent(new Event('needgesture')), 700);
    context.resume().then(() => clearTimeout(waiting), () => clearTimeout(waiting));
  }

  get awake() {
    return this.context?.state === 'running';
  }

  /**
   * Opens it anew as the options say. What is wished while one is being opened wins, be it another microphone or none.
   * @returns {Promise<void>} a DOMException if the user or the system refuses
   */
  async openMicrophone() {
    const wish = ++this.wish;
    const session = /** @type {any} */ (navigator).audioSession; // Safari: routes to the earpiece or headset
    if (session) session.type = 'play-and-record';
    const { input, echoCancellation, noiseSuppression, autoGainControl } = this.options;
    const audio = { echoCancellation, noiseSuppression, autoGainControl, channelCount: 1 };
    // Chromium treats a device that is open already as it was treated before; another device has to work before this one is let go.
    if (this.input === input) this.#stopMicrophone();
    this.input = input;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: input ? { ...audio, deviceId: { exact: input } } : audio })
      .catch((error) => {
        if (input && error.name === 'OverconstrainedError') return navigator.mediaDevices.getUserMedia({ audio }); // unplugged
        throw error;
      });
    const [track] = stream.getAudioTracks();
    // Where the browser can, everything it plays is taken out of the microphone, not only what WebRTC plays.
    const can = /** @type {any} */ (track.getCapabilities?.())?.echoCancellation;
    if (echoCancellation && Array.isArray(can) && can.includes('all')) {
      await track.applyConstraints(/** @type {any} */ ({ ...audio, echoCancellation: 'all' })).catch(() => {});
    }
    if (wish !== this.wish) return track.stop();
    track.onended = () => this.dispatchEvent(new Event('input-lost'));
    this.#stopMicrophone();
    this.microphone = stream;
    if (this.node) this.#connectMicrophone();
  }

  /** The node of a call, and the ports to be given to its streams. @returns {{feed: MessagePort, listen: MessagePort}} */
  openCall() {
    const { context, volume, wasm } = this;
    if (!context || !volume) throw new Error('the audio is not open');
    this.closeNode();
    const up = new MessageChannel(), down = new MessageChannel();
    this.node = new AudioWorkletNode(context, 'phone-audio', {
      channelCount: 1, channelCountMode: 'explicit', outputChannelCount: [1], processorOptions: { wasm },
    });
    this.node.port.onmessage = ({ data }) => {
      this.dispatchEvent(new CustomEvent('level', { detail: { in: this.muted ? 0 : data.in, out: data.out } }));
      if (data.stats) this.dispatchEvent(new CustomEvent('stats', { detail: data.stats }));
    };
    this.node.port.postMessage({ type: 'wire', feed: up.port1, listen: down.port1 }, [up.port1, down.port1]);
    this.node.connect(volume);
    this.#connectMicrophone();
    return { feed: up.port2, listen: down.port2 };
  }

  /** Begins to send. @param {CodecName} codec */
  startSending(codec) {
    const { quality, gain } = this.options;
    this.node?.port.postMessage({ type: 'start', codec, options: { quality } });
    this.node?.port.postMessage({ type: 'gain', value: gain });
    this.mute(this.muted);
  }

  /** @param {boolean} on */
  mute(on) {
    this.muted = on;
    this.node?.port.postMessage({ type: 'mute', on });
  }

  /** @param {Partial<AudioOptions>} options takes effect at once where it can */
  async set(options) {
    Object.assign(this.options, options);
    if (options.volume !== undefined && this.volume) this.volume.gain.value = options.volume;
    if (options.gain !== undefined) this.node?.port.postMessage({ type: 'gain', value: options.gain });
    if ((options.output !== undefined || options.loopback !== undefined) && this.context) await (this.routing = this.routing.catch(() => {}).then(() => this.#route()));
    const input = ['input', 'echoCancellation', 'noiseSuppression', 'autoGainControl'].some((key) => key in options);
    if (input && this.microphone) await this.openMicrophone();
  }

  /** Ends a call's sound: the microphone is let go. */
  closeCall() {
    this.closeNode();
    this.wish++;
    this.#stopMicrophone();
    this.muted = false;
    const session = /** @type {any} */ (navigator).audioSession;
    if (session) session.type = 'auto';
  }

  closeNode() {
    this.node?.port.postMessage({ type: 'end' });
    this.node?.disconnect();
    this.source?.disconnect();
    this.node = this.source = null;
  }

  /** Everything, for good. */
  async close() {
    this.closeCall();
    this.tones?.stop();
    this.exit?.close();
    await this.context?.close();
    this.context = this.opening = null;
  }

  #connectMicrophone() {
    if (!this.context || !this.microphone || !this.node) return;
    this.source?.disconnect();
    this.source = this.context.createMediaStreamSource(this.microphone);
    this.source.connect(this.node);
  }

  #stopMicrophone() {
    for (const track of this.microphone?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.microphone = null;
  }

  /** Leads the sound to the chosen device. */
  async #route() {
    const { context, volume, options: { output, loopback } } = this;
    if (!context || !volume) return;
    this.exit?.close();
    this.exit = null;
    volume.disconnect();
    const own = /** @type {any} */ (context);
    if (!loopback && (own.setSinkId || !output)) {
      volume.connect(context.destination);
      await own.setSinkId?.(output);
      return;
    }
    const leaving = context.createMediaStreamDestination();
    volume.connect(leaving);
    const pair = loopback ? await loopbackPair(leaving.stream) : null;
    const element = new Audio();
    element.srcObject = pair?.stream ?? leaving.stream;
    this.exit = {
      stream: element.srcObject,
      close() {
        element.pause();
        element.srcObject = null;
        pair?.close();
      },
    };
    if (output) await /** @type {any} */ (element).setSinkId?.(output);
    await element.play();
  }
}

/** The stream, once through WebRTC. @param {MediaStream} stream */
async function loopbackPair(stream) {
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({ candidate }) => void (candidate && to.addIceCandidate(candidate));
  to.onicecandidate = ({ candidate }) => void (candidate && from.addIceCandidate(candidate));
  const arrived = new Promise((resolve) => { to.ontrack = ({ streams }) => resolve(streams[0]); });
  for (const track of stream.getTracks()) from.addTrack(track, stream);
  await from.setLocalDescription();
  await to.setRemoteDescription(/** @type {RTCSessionDescription} */ (from.localDescription));
  await to.setLocalDescription();
  await from.setRemoteDescription(/** @type {RTCSessionDescription} */ (to.localDescription));
  return { stream: /** @type {MediaStream} */ (await arrived), close: () => [from, to].forEach((end) => end.close()) };
}

/** Rings, on a device of its own, while the call's audio may not even be open. */
export class Ringer {
  /** @type {Tones | null} */
  tones = null;

  /** @param {string} [device] */
  async start(device = '') {
    try {
      this.tones ??= new Tones(new AudioContext());
      const { context } = this.tones;
      await /** @type {any} */ (context).setSinkId?.(device).catch(() => {});
      this.tones.start('ringtone');
      await context.resume();
    } catch {
      // No sound without a gesture; the page shows and notifies.
    }
  }

  stop() {
    this.tones?.stop();
    void this.tones?.context.suspend();
  }
}
