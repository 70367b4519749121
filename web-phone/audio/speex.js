/**
 * Speex wideband by speex.wasm, the gateway's own codec crate compiled for browsers.
 *
 * One instance is one encoder and one decoder. The decoder takes narrowband packets as well, and always gives 16 kHz.
 */

/**
 * What speex.wasm exports; see `speex.rs` of the codec crate.
 * @typedef {object} SpeexExports
 * @property {WebAssembly.Memory} memory
 * @property {() => number} speex_pcm
 * @property {() => number} speex_packet
 * @property {() => number} speex_packet_bytes
 * @property {(mode: number, quality: number, complexity: number) => void} speex_encoder
 * @property {(samples: number) => number} speex_encode
 * @property {(mode: number) => void} speex_decoder
 * @property {(bytes: number) => number} speex_decode
 * @property {() => number} speex_conceal
 */

const WIDEBAND = 1;
/** Samples of 20 ms at 16 kHz. */
export const SPEEX_FRAME = 320;

export class Speex {
  /**
   * @param {BufferSource} wasm the bytes of speex.wasm: a compiled module cannot be posted to a worklet everywhere
   * @param {{quality?: number, complexity?: number}} [options] 0 to 10: 6 is 20.6 kb/s, 8 is 27.8; 1 to 10
   */
  constructor(wasm, { quality = 8, complexity = 2 } = {}) {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm));
    this.speex = /** @type {SpeexExports} */ (/** @type {unknown} */ (instance.exports));
    this.rate = 16_000;
    this.frame = SPEEX_FRAME;
    this.speex.speex_encoder(WIDEBAND, quality, complexity);
    this.speex.speex_decoder(WIDEBAND);
  }

  /** @param {Float32Array} pcm one frame, -1 to 1 @returns {Uint8Array<ArrayBuffer>} */
  encode(pcm) {
    const { memory, speex_pcm, speex_packet, speex_encode } = this.speex;
    const samples = new Int16Array(memory.buffer, speex_pcm(), pcm.length);
    for (let i = 0; i < pcm.length; i++) samples[i] = Math.round(Math.max(-1, Math.min(1, pcm[i])) * 32767);
    const length = speex_encode(pcm.length);
    if (length < 0) throw new Error(`Speex encoder: ${length}`);
    return new Uint8Array(memory.buffer, speex_packet(), length).slice();
  }

  /** @param {Uint8Array} packet @returns {Float32Array} nothing for a packet that is no Speex */
  decode(packet) {
    const { memory, speex_packet, speex_packet_bytes, speex_decode } = this.speex;
    if (packet.length > speex_packet_bytes()) return new Float32Array(0);
    new Uint8Array(memory.buffer, speex_packet(), packet.length).set(packet);
    return this.samples(speex_decode(packet.length));
  }

  /** What might have been in a frame that did not come. @returns {Float32Array} */
  conceal() {
    return this.samples(this.speex.speex_conceal());
  }

  /** @param {number} count */
  samples(count) {
    if (count <= 0) return new Float32Array(0);
    const { memory, speex_pcm } = this.speex;
    const samples = new Int16Array(memory.buffer, speex_pcm(), count);
    const pcm = new Float32Array(count);
    for (let i = 0; i < count; i++) pcm[i] = samples[i] / 32768;
    return pcm;
  }
}
