/** From the microphone's samples to audio messages: resampler, frames of 20 ms, encoder. */
import { TAGS, makeCodec } from './codecs.js';
import { Meter } from './meter.js';
import { Resampler } from './resampler.js';

/** A frame of 20 ms. */
const FRAME = 20;

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
    this.meter.add(pcm);
    const messages = [];
    for (const sample of this.resampler.process(pcm)) {
      this.frame[this.filled++] = this.muted ? 0 : sample * this.gain;
      if (this.filled < this.frame.length) continue;
      this.filled = 0;
      const packet = this.codec.encode(this.frame);
      const payload = new Uint8Array(1 + packet.length);
      payload[0] = this.tag;
      payload.set(packet, 1);
      messages.push({ timestamp: this.timestamp, payload });
      this.timestamp += FRAME;
    }
    return messages;
  }
}
