/** From the microphone's samples to audio messages: resampler, frames of 20 ms, encoder. */
import { TAGS, makeCodec } from './codecs.js';
import { Meter } from './meter.js';
import { Resampler } from './resampler.js';

/** A frame of 20 ms. */
const FRAME = 20;
/** @type {never[]} */
const NOTHING = [];

export class Recorder {
  /**
   * @param {number} rate Hz
   * @param {import('./codecs.js').CodecName} name
   * @param {ArrayBuffer | null} [wasm] speex.wasm
   * @param {{quality?: number}} [options]
   */
  constructor(rate, name, wasm = null, options) {
    this.codec = makeCodec(name, wasm, options);
    this.tag = TAGS[name];
    this.resampler = new Resampler(rate, this.codec.rate);
    /** Input that waits: it is resampled a frame at a time, for work in small pieces costs more than the work. */
    this.wanted = this.resampler.needs(this.codec.frame);
    this.input = new Float32Array(this.wanted + this.resampler.taps);
    this.waiting = 0;
    this.frame = new Float32Array(this.codec.frame);
    this.filled = 0;
    this.timestamp = 0;
    this.meter = new Meter();
    this.muted = false;
    /** 0 to 2; 1 leaves it as it is. */
    this.gain = 1;
  }

  /**
   * @param {Float32Array} pcm
   * @returns {{timestamp: number, payload: Uint8Array<ArrayBuffer>}[]} messages that are complete by now, FLV tag byte first
   */
  process(pcm) {
    /** @type {{timestamp: number, payload: Uint8Array<ArrayBuffer>}[]} */
    let messages = NOTHING;
    for (let at = 0; at < pcm.length; ) {
      while (at < pcm.length && this.waiting < this.wanted) this.input[this.waiting++] = pcm[at++];
      if (this.waiting < this.wanted) break;
      if (messages === NOTHING) messages = [];
      this.take(messages);
    }
    return messages;
  }

  /** What waits, into the frame. @param {{timestamp: number, payload: Uint8Array<ArrayBuffer>}[]} messages */
  take(messages) {
    const samples = this.resampler.process(this.input.subarray(0, this.waiting));
    this.waiting = 0;
    this.meter.add(samples);
    const gain = this.muted ? 0 : this.gain;
    for (let i = 0; i < samples.length; i++) {
      this.frame[this.filled++] = samples[i] * gain;
      if (this.filled === this.frame.length) messages.push(this.message());
    }
    this.wanted = this.resampler.needs(this.frame.length - this.filled);
  }

  /** The frame as an audio message. */
  message() {
    this.filled = 0;
    const packet = this.codec.encode(this.frame);
    const payload = new Uint8Array(1 + packet.length);
    payload[0] = this.tag;
    payload.set(packet, 1);
    const message = { timestamp: this.timestamp, payload };
    this.timestamp += FRAME;
    return message;
  }
}
