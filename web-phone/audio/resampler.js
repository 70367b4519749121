/**
 * From one sample rate to another by a polyphase filter: a windowed sinc, cut at the lower of the two Nyquist
 * frequencies, stored once for each fraction of a sample that can occur.
 *
 * ```text
 *   rate_out / rate_in = L / M in lowest terms (44100 -> 16000: 160 / 441)
 *   output n stands at input n * M / L = whole + phase / L: the taps of `phase` are laid over the input at `whole`
 * ```
 */

/** Zero crossings of the sinc on each side. */
const CROSSINGS = 16;
/** Where the filter begins to fall, of the lower Nyquist frequency. */
const PASS = 0.92;
/** Kaiser window: 80 dB down beside the pass band. */
const BETA = 8;

/** @param {number} a @param {number} b @returns {number} */
const divisor = (a, b) => (b === 0 ? a : divisor(b, a % b));

/** Modified Bessel function of order 0. @param {number} x */
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export class Resampler {
  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const common = divisor(Math.round(from), Math.round(to));
    this.up = Math.round(to) / common;
    this.down = Math.round(from) / common;
    this.same = this.up === this.down;
    const cut = Math.min(1, this.up / this.down) * PASS;
    const half = 2 * Math.ceil(CROSSINGS / cut / 2);
    this.taps = 2 * half;
    this.filter = this.same ? new Float32Array(0) : makeFilter(this.up, this.taps, half, cut);
    /** Input that outputs still need: as many zeros to begin with as the filter looks back. */
    this.line = new Float32Array(this.taps - 1);
    this.filled = this.line.length;
    this.out = new Float32Array(0);
    this.position = 0;
    this.phase = 0;
  }

  /** Delay in samples of the input. */
  get delay() {
    return this.same ? 0 : this.taps / 2;
  }

  /** How much input it takes until so many more outputs can be computed. @param {number} outputs @returns {number} */
  needs(outputs) {
    if (this.same) return outputs;
    const last = this.position + Math.floor((this.phase + (outputs - 1) * this.down) / this.up);
    return Math.max(0, last + this.taps - this.filled);
  }

  /** @param {Float32Array} input any number of samples @returns {Float32Array} what can be computed by now; good until the next call */
  process(input) {
    if (this.same) return input;
    this.add(input);
    const { up, down, taps, filter, line } = this;
    const most = Math.ceil((input.length * up) / down) + 1;
    if (this.out.length < most) this.out = new Float32Array(most);
    const { out } = this;
    let count = 0, { position, phase } = this;
    for (const last = this.filled - taps; position <= last; count++) {
      // Four sums: an addition has not to wait for the one before it.
      let a = 0, b = 0, c = 0, d = 0;
      for (let at = position, tap = phase * taps, end = tap + taps; tap < end; at += 4, tap += 4) {
        a += line[at] * filter[tap];
        b += line[at + 1] * filter[tap + 1];
        c += line[at + 2] * filter[tap + 2];
        d += line[at + 3] * filter[tap + 3];
      }
      out[count] = a + b + c + d;
      phase += down;
      position += Math.floor(phase / up);
      phase %= up;
    }
    const used = Math.min(position, this.filled);
    line.copyWithin(0, used, this.filled);
    this.filled -= used;
    this.position = position - used;
    this.phase = phase;
    return out.subarray(0, count);
  }

  /** @param {Float32Array} input */
  add(input) {
    const length = this.filled + input.length;
    if (length > this.line.length) {
      const longer = new Float32Array(length);
      longer.set(this.line.subarray(0, this.filled));
      this.line = longer;
    }
    this.line.set(input, this.filled);
    this.filled = length;
  }
}

/** @param {number} up @param {number} taps @param {number} half @param {number} cut */
function makeFilter(up, taps, half, cut) {
  const filter = new Float32Array(up * taps);
  const scale = bessel(BETA);
  for (let phase = 0; phase < up; phase++) {
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const x = k - (half - 1) - phase / up; // distance from the output's place, input samples
      const window = Math.abs(x) >= half ? 0 : bessel(BETA * Math.sqrt(1 - (x / half) ** 2)) / scale;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cut * x) / (Math.PI * cut * x);
      filter[phase * taps + k] = sinc * window;
      sum += sinc * window;
    }
    for (let k = 0; k < taps; k++) filter[phase * taps + k] /= sum; // every phase passes DC unchanged
  }
  return filter;
}
