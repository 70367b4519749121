/**
 * The two ends of a call inside the browser's audio thread.
 *
 * ```text
 *   microphone -> phone-capture: Recorder --port--> worker
 *   worker --port--> phone-playback: Player -> loudspeaker
 * ```
 *
 * Each node's own port takes orders from the page and reports ten times a second; a second port, passed along with
 * the order `wire`, goes straight to the worker that holds the connection, so that a busy page is not heard.
 */
import { Player } from './player.js';
import { Recorder } from './recorder.js';

/** Seconds between reports. */
const REPORT_S = 0.1;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {Recorder | null} */
    this.recorder = null;
    /** @type {MessagePort | null} */
    this.wire = null;
    this.reportAt = 0;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.order(data);
  }

  /** @param {any} data */
  order(data) {
    if (data.type === 'start') this.recorder = new Recorder(sampleRate, data.codec, data.wasm, data.options);
    if (data.type === 'stop') this.recorder = null;
    if (data.type === 'wire') this.wire = data.port;
    if (data.type === 'end') this.ended = true;
    if (this.recorder && data.type === 'mute') this.recorder.muted = data.on;
    if (this.recorder && data.type === 'gain') this.recorder.gain = data.value;
  }

  /** @param {Float32Array[][]} inputs */
  process([input]) {
    const pcm = input[0] ?? new Float32Array(128); // no microphone any more: silence keeps the far end's clock going
    if (this.recorder) {
      for (const { timestamp, payload } of this.recorder.process(pcm)) {
        this.wire?.postMessage({ timestamp, payload }, [payload.buffer]);
      }
    }
    if (this.recorder && currentTime >= this.reportAt) {
      this.reportAt = currentTime + REPORT_S;
      this.port.postMessage({ type: 'level', level: this.recorder.meter.take() });
    }
    return !this.ended;
  }
}

class Playback extends AudioWorkletProcessor {
  /** @param {any} options */
  constructor(options) {
    super();
    this.player = new Player(sampleRate, options.processorOptions?.wasm ?? null);
    this.reportAt = 0;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.order(data);
  }

  /** @param {any} data */
  order(data) {
    if (data.type === 'reset') this.player.reset();
    if (data.type === 'end') this.ended = true;
    if (data.type === 'wire') {
      data.port.onmessage = (/** @type {MessageEvent} */ event) =>
        this.player.push(event.data.payload, event.data.timestamp, currentTime * 1000);
    }
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, [output]) {
    this.player.fill(output[0]);
    for (let channel = 1; channel < output.length; channel++) output[channel].set(output[0]);
    if (currentTime >= this.reportAt) {
      this.reportAt = currentTime + REPORT_S;
      this.port.postMessage({ type: 'level', level: this.player.meter.take(), stats: this.player.stats });
    }
    return !this.ended;
  }
}

registerProcessor('phone-capture', Capture);
registerProcessor('phone-playback', Playback);
