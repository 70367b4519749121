/** G.711, both laws, at 8 kHz: what a telephone network speaks, and a phone without WebAssembly. */

/** Samples of 20 ms. */
export const G711_FRAME = 160;

/** @param {number} code the byte on the wire @returns {number} 16-bit linear */
function muToLinear(code) {
  const value = ~code & 0xff;
  const magnitude = ((((value & 0x0f) << 3) + 0x84) << ((value >> 4) & 7)) - 0x84;
  return value & 0x80 ? -magnitude : magnitude;
}

/** @param {number} code @returns {number} */
function aToLinear(code) {
  const value = code ^ 0x55;
  const segment = (value >> 4) & 7;
  const base = ((value & 0x0f) << 4) + 8;
  const magnitude = segment === 0 ? base : (base + 0x100) << (segment - 1);
  return value & 0x80 ? magnitude : -magnitude;
}

/** @param {number} sample 16-bit linear @returns {number} */
function linearToMu(sample) {
  const magnitude = Math.min(Math.abs(sample), 32635) + 0x84;
  const segment = 31 - Math.clz32(magnitude) - 7;
  const code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0f);
  return ~(sample < 0 ? code | 0x80 : code) & 0xff;
}

/** @param {number} sample 16-bit linear @returns {number} */
function linearToA(sample) {
  const magnitude = Math.min(sample < 0 ? ~sample : sample, 32767);
  const segment = magnitude < 0x100 ? 0 : 31 - Math.clz32(magnitude) - 7;
  const code = (segment << 4) | ((magnitude >> (segment === 0 ? 4 : segment + 3)) & 0x0f);
  return (sample < 0 ? code : code | 0x80) ^ 0x55;
}

/** A law as a codec: samples are floats, -1 to 1. */
class G711 {
  /** @param {(code: number) => number} toLinear @param {(sample: number) => number} fromLinear */
  constructor(toLinear, fromLinear) {
    this.rate = 8000;
    this.frame = G711_FRAME;
    this.table = Float32Array.from({ length: 256 }, (_, code) => toLinear(code) / 32768);
    this.fromLinear = fromLinear;
  }

  /** @param {Float32Array} pcm @returns {Uint8Array<ArrayBuffer>} */
  encode(pcm) {
    return Uint8Array.from(pcm, (sample) => this.fromLinear(Math.round(Math.max(-1, Math.min(1, sample)) * 32767)));
  }

  /** @param {Uint8Array} packet @returns {Float32Array} */
  decode(packet) {
    return Float32Array.from(packet, (code) => this.table[code]);
  }
}

export const pcmu = () => new G711(muToLinear, linearToMu);
export const pcma = () => new G711(aToLinear, linearToA);
