/** Codecs as rows of a table: the FLV tag byte that leads an audio message names them. */
import { pcma, pcmu } from './g711.js';
import { Speex } from './speex.js';

/**
 * @typedef {object} Codec
 * @property {number} rate   Hz
 * @property {number} frame  samples of 20 ms
 * @property {(pcm: Float32Array) => Uint8Array<ArrayBuffer>} encode  one frame
 * @property {(packet: Uint8Array) => Float32Array} decode  whole frames
 * @property {() => Float32Array} [conceal]  a frame for one that is missing
 */
/** @typedef {'speex' | 'pcmu' | 'pcma'} CodecName */

/** @type {Record<CodecName, number>} the tag byte by name: codec in the upper four bits */
export const TAGS = { speex: 0xb2, pcmu: 0x82, pcma: 0x72 };

/** @param {number} tag @returns {CodecName | null} */
export function codecOfTag(tag) {
  const names = /** @type {CodecName[]} */ (Object.keys(TAGS));
  return names.find((name) => TAGS[name] >> 4 === tag >> 4) ?? null;
}

/**
 * @param {CodecName} name
 * @param {ArrayBuffer | null | undefined} wasm bytes of speex.wasm
 * @param {{quality?: number}} [options]
 * @returns {Codec}
 */
export function makeCodec(name, wasm, options) {
  if (name === 'pcmu') return pcmu();
  if (name === 'pcma') return pcma();
  if (!wasm) throw new Error('Speex needs speex.wasm');
  return new Speex(wasm, options);
}
