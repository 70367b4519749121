/**
 * The end of a call inside the browser's audio thread: one node, whose input is the microphone and whose output is what is heard.
 *
 * ```text
 *   microphone -> Recorder --port 'feed'--> worker --port 'listen'--> Player -> loudspeaker
 * ```
 *
 * The node's own port takes orders from the page and reports; two more, passed along with the order `wire`, go straight to
 * the worker that holds the connection, so that a busy page is not heard. One node and not two, and few reports: in this
 * thread as in the page it is not the work that costs, but being called.
 */
import { Player } from './player.js';
import { Recorder } from './recorder.js';

/** Seconds between reports of levels. */
const REPORT_S = 0.1;
/** The player's figures come along with every so manyth. */
const STATS_EVERY = 5;
/** A quantum without a microphone: silence keeps the far end's clock going. */
const SILENCE = new Float32Array(128);

class PhoneAudio extends AudioWorkletProcessor {
  /** @param {any} options */
  constructor(options) {
    super();
    /** @type {ArrayBuffer | null} */
    this.wasm = options.processorOptions?.wasm ?? null;
    this.player = new Player(sampleRate, this.wasm);
    /** @type {Recorder | null} */
    this.recorder = null;
    /** @type {MessagePort | null} */
    this.feed = null;
    this.reportAt = 0;
    this.reports = 0;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.order(data);
  }

  /** @param {any} data */
  order(data) {
    if (data.type === 'start') this.recorder = new Recorder(sampleRate, data.codec, this.wasm, data.options);
    if (data.type === 'end') this.ended = true;
    if (this.recorder && data.type === 'mute') this.recorder.muted = data.on;
    if (this.recorder && data.type === 'gain') this.recorder.gain = data.value;
    if (data.type === 'wire') {
      this.feed = data.feed;
      data.listen.onmessage = (/** @type {MessageEvent} */ { data: { payload, timestamp } }) =>
        this.player.push(payload, timestamp, currentTime * 1000);
    }
  }

  /** @param {Float32Array[][]} inputs @param {Float32Array[][]} outputs */
  process([input], [output]) {
    if (this.recorder) {
      for (const message of this.recorder.process(input[0] ?? SILENCE)) this.feed?.postMessage(message, [message.payload.buffer]);
    }
    this.player.fill(output[0], currentTime * 1000);
    if (currentTime >= this.reportAt) this.report();
    return !this.ended;
  }

  report() {
    this.reportAt = currentTime + REPORT_S;
    const stats = this.reports++ % STATS_EVERY === 0 ? this.player.stats : undefined;
    this.port.postMessage({ in: this.recorder?.meter.take() ?? 0, out: this.player.meter.take(), stats });
  }
}

registerProcessor('phone-audio', PhoneAudio);
