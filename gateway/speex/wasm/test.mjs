// Runs speex.wasm over raw samples and writes what came out, for a native program to compare.
//
//     node test.mjs speex.wasm mode quality complexity loss < samples > result
//
// samples: 16 bit little endian. `loss` the one packet in so many that is lost.
// result: for each frame the packet's length (one byte), the packet, and the decoded frame.
import { readFileSync, writeFileSync } from "node:fs";

const [file, ...settings] = process.argv.slice(2);
const [mode, quality, complexity, loss] = settings.map(Number);
const module = new WebAssembly.Module(readFileSync(file));
if (WebAssembly.Module.imports(module).length > 0) throw new Error("speex.wasm has imports");

const speex = new WebAssembly.Instance(module).exports;
const frame = speex.speex_frame_samples(mode);
const pcm = new Uint8Array(speex.memory.buffer, speex.speex_pcm(), 2 * frame);
const packet = new Uint8Array(speex.memory.buffer, speex.speex_packet(), speex.speex_packet_bytes());
speex.speex_encoder(mode, quality, complexity);
speex.speex_decoder(mode);

const samples = readFileSync(0);
const result = [];
let nanoseconds = 0n;
for (let at = 0, number = 0; at + pcm.length <= samples.length; at += pcm.length, number++) {
  pcm.set(samples.subarray(at, at + pcm.length));
  const before = process.hrtime.bigint();
  const bytes = speex.speex_encode(frame);
  nanoseconds += process.hrtime.bigint() - before;
  if (bytes <= 0) throw new Error(`speex_encode: ${bytes}`);
  result.push(Uint8Array.of(bytes), packet.slice(0, bytes));
  const decoded = number % loss === loss - 1 ? speex.speex_conceal() : speex.speex_decode(bytes);
  if (decoded !== frame) throw new Error(`speex_decode: ${decoded}`);
  result.push(pcm.slice());
}
// Hostile lengths and a packet that is none must come back as errors, not as traps.
const errors = [speex.speex_encode(1), speex.speex_encode(1 << 30), speex.speex_decode(0), speex.speex_decode(1 << 30)];
if (errors.some((status) => status >= 0)) throw new Error(`no error: ${errors}`);
writeFileSync(1, Buffer.concat(result));
console.error(`${Number(nanoseconds) / 1000 / (samples.length / pcm.length)} us to encode a frame`);
