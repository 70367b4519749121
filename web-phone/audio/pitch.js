/**
 * Making speech shorter, longer, or up: all by the pitch period, so that the voice keeps its height.
 *
 * ```text
 *   shorten   |--A--|--B--|rest      ->  |A fading into B|rest        one period less
 *   lengthen  |--A--|--B--|rest      ->  |--A--|B fading into A|--B--|rest   one period more
 * ```
 */

/** Voices are between 400 and 66 Hz. */
const PERIOD_MIN_S = 0.0025, PERIOD_MAX_S = 0.015;
/** Below this RMS nothing is heard, and any period does. */
const SILENT = 0.003;
/** Likeness of two periods from which on joining them is not heard. */
const ALIKE = 0.7;

/** @param {Float32Array} pcm */
export function rms(pcm) {
  let sum = 0;
  for (const x of pcm) sum += x * x;
  return pcm.length ? Math.sqrt(sum / pcm.length) : 0;
}

/**
 * The lag at which `pcm` is most like itself.
 * @param {Float32Array} pcm at least two of the longest periods
 * @param {number} rate Hz
 * @returns {{lag: number, likeness: number}} samples, and -1 to 1
 */
export function findPeriod(pcm, rate) {
  const min = Math.round(rate * PERIOD_MIN_S);
  const max = Math.min(Math.round(rate * PERIOD_MAX_S), pcm.length >> 1);
  let best = { lag: min, likeness: -1 };
  for (let lag = min; lag <= max; lag++) {
    let both = 0, first = 0, second = 0;
    for (let i = 0; i < max; i++) {
      const a = pcm[i], b = pcm[i + lag];
      both += a * b;
      first += a * a;
      second += b * b;
    }
    const likeness = both / Math.sqrt(first * second + 1e-12);
    if (likeness > best.likeness) best = { lag, likeness };
  }
  return best;
}

/** Whether joining at the period would be heard. @param {Float32Array} pcm @param {number} likeness */
const joinable = (pcm, likeness) => likeness > ALIKE || rms(pcm) < SILENT;

/** @param {Float32Array} pcm @param {number} rate @returns {Float32Array} a period shorter, or the same where it would be heard */
export function shorten(pcm, rate) {
  const { lag, likeness } = findPeriod(pcm, rate);
  if (!joinable(pcm, likeness)) return pcm;
  const out = new Float32Array(pcm.length - lag);
  for (let i = 0; i < lag; i++) out[i] = mix(pcm[i], pcm[i + lag], i / lag);
  out.set(pcm.subarray(2 * lag), lag);
  return out;
}

/** @param {Float32Array} pcm @param {number} rate @returns {Float32Array} a period longer, or the same */
export function lengthen(pcm, rate) {
  const { lag, likeness } = findPeriod(pcm, rate);
  if (!joinable(pcm, likeness)) return pcm;
  const out = new Float32Array(pcm.length + lag);
  out.set(pcm.subarray(0, lag));
  for (let i = 0; i < lag; i++) out[lag + i] = mix(pcm[lag + i], pcm[i], i / lag);
  out.set(pcm.subarray(lag), 2 * lag);
  return out;
}

/** @param {number} a @param {number} b @param {number} share of b */
const mix = (a, b, share) => a * (1 - share) + b * share;

/** Concealment for codecs that have none: the last period again and again, fading out over 60 ms. */
export class PeriodRepeater {
  /** @param {number} rate Hz */
  constructor(rate) {
    this.rate = rate;
    this.past = new Float32Array(Math.round(rate * PERIOD_MAX_S) * 2);
    this.made = 0;
    this.period = 0;
  }

  /** Remembers what was played. @param {Float32Array} pcm */
  heard(pcm) {
    const keep = this.past.length;
    if (pcm.length >= keep) this.past.set(pcm.subarray(pcm.length - keep));
    else {
      this.past.copyWithin(0, pcm.length);
      this.past.set(pcm, keep - pcm.length);
    }
    this.made = 0;
  }

  /** @param {number} samples @returns {Float32Array} */
  conceal(samples) {
    if (this.made === 0) this.period = findPeriod(this.past, this.rate).lag;
    const out = new Float32Array(samples);
    const start = this.past.length - this.period;
    for (let i = 0; i < samples; i++) {
      const fade = Math.max(0, 1 - (this.made + i) / (this.rate * 0.06));
      out[i] = this.past[start + ((this.made + i) % this.period)] * fade;
    }
    this.made += samples;
    return out;
  }
}
