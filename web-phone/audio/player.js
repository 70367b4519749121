/** From audio messages to samples at the context's rate: jitter buffer, then resampler. */
import { codecOfTag, makeCodec } from './codecs.js';
import { JitterBuffer, JitterStats } from './jitter.js';
import { Resampler } from './resampler.js';
import { Meter } from './meter.js';

export class Player {
  /** @param {number} rate Hz @param {ArrayBuffer | null} [wasm] speex.wasm */
  constructor(rate, wasm = null) {
    this.rate = rate;
    this.wasm = wasm;
    /** @type {import('./codecs.js').CodecName | null} */
    this.codec = null;
    /** @type {JitterBuffer | null} */
    this.buffer = null;
    this.resampler = new Resampler(rate, rate);
    /** Samples at the context's rate, and how many of them are played. @type {Float32Array} */
    this.ready = new Float32Array(0);
    this.used = 0;
    this.meter = new Meter();
  }

  /** @param {Uint8Array} message FLV tag byte first @param {number} timestamp ms @param {number} now ms */
  push(message, timestamp, now) {
    const name = codecOfTag(message[0]);
    if (!name || (name === 'speex' && !this.wasm)) return;
    if (name !== this.codec || !this.buffer) {
      const codec = makeCodec(name, this.wasm);
      this.codec = name;
      this.buffer = new JitterBuffer(codec);
      this.resampler = new Resampler(codec.rate, this.rate);
    }
    this.buffer.push(message.subarray(1), timestamp, now);
  }

  /** @param {Float32Array} out filled with what is to be heard @param {number} now ms, when it begins to be heard, on the clock of push() */
  fill(out, now) {
    if (!this.buffer) return void out.fill(0);
    let at = 0;
    while (at < out.length) {
      if (this.used === this.ready.length) {
        const pcm = this.buffer.pull(now + (at * 1000) / this.rate);
        this.meter.add(pcm);
        this.ready = this.resampler.process(pcm);
        this.used = 0;
      }
      const { ready } = this;
      let { used } = this;
      while (at < out.length && used < ready.length) out[at++] = ready[used++];
      this.used = used;
    }
  }

  get stats() {
    const { buffer } = this;
    return {
      codec: this.codec,
      buffer: buffer?.level ?? 0,
      target: buffer?.target ?? 0,
      jitter: buffer?.lateness ?? 0,
      ...(buffer?.stats ?? new JitterStats()),
    };
  }
}
