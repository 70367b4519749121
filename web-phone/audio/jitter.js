/**
 * The buffer that turns packets that come when they like into sound that never stops.
 *
 * ```text
 *   push(packet) -> [ packets in order ] -> pull(): decode | conceal -> shorten | lengthen -> PCM
 *                     held from the earliest it could have come = target = worst lateness of late + 15 ms
 * ```
 *
 * What is steered is the time from when a packet could have come at the earliest to when it is played. It does not swing
 * with single arrivals, as the number of packets does, and can be held to a few ms.
 *
 * The transport is TCP: packets come in order, and what is missing was lost before the gateway. What is late is
 * played nonetheless, which delays everything after it, and the delay is worked off by leaving out single pitch
 * periods. After a long stall the backlog is cut at once. Times are ms.
 */
import { PeriodRepeater, lengthen, shorten } from './pitch.js';

/** @typedef {import('./codecs.js').Codec} Codec */

/** Every packet of the gateway is one frame of 20 ms. */
const FRAME = 20;
const TARGET_MIN = 25, TARGET_MAX = 400;
/** Held beyond the worst lateness of late. */
const MARGIN = 15;
/** The worst lateness of so many seconds is remembered, of each by itself. */
const SECONDS = 8;
/** Later than this counts only if another second had it too: a single stall is no jitter. */
const STALL = 120;
/** How long the earliest arrival is remembered. It must be forgotten, for the two clocks drift. */
const BASE_SPAN = 10_000;
/** A packet this far from where it is expected belongs to another time line. */
const OTHER_TIMELINE = 1000;
/** Held for longer or shorter than the target by so much: shorten, lengthen. */
const OFF = 10;
/** Frames between two stretches. */
const REST = 5;
/** Over target by so much after a stall: cut. */
const BACKLOG = 200;
/** Frames made up in a row before silence. */
const CONCEAL_MAX = 3;
/** Silence while nothing is to be played; short, to begin soon after the packet that was waited for. */
const IDLE = 5;
/** Packets held, whatever happens. */
const PACKETS_MAX = 500;
/** Made-up sound fades into real sound. */
const JOIN_S = 0.005;

/** What happened so far. All ms, but for `underruns`. */
export class JitterStats {
  played = 0;
  concealed = 0;
  shortened = 0;
  lengthened = 0;
  cut = 0;
  underruns = 0;
}

export class JitterBuffer {
  /** @param {Codec} codec */
  constructor(codec) {
    this.codec = codec;
    /** @type {{packet: Uint8Array, timestamp: number}[]} */
    this.packets = [];
    this.stats = new JitterStats();
    /** The worst lateness of late. */
    this.lateness = 0;
    /** @type {number[]} and of each second, newest last */
    this.peaks = [];
    this.peakSince = 0;
    this.base = Infinity;
    this.nextBase = Infinity;
    this.baseSince = 0;
    this.playing = false;
    /** The timestamp that comes next. */
    this.due = 0;
    /** Frames made up since the last real one. */
    this.madeUp = 0;
    /** How long the last packet was held. */
    this.held = 0;
    /** Frames until the next stretch. */
    this.rest = 0;
    this.repeater = codec.conceal ? null : new PeriodRepeater(codec.rate);
  }

  /** How long packets are held. */
  get target() {
    return Math.min(TARGET_MAX, Math.max(TARGET_MIN, this.lateness + MARGIN));
  }

  /** How much is there. */
  get level() {
    return this.packets.length * FRAME;
  }

  /** @param {Uint8Array} packet @param {number} timestamp the sender's @param {number} now */
  push(packet, timestamp, now) {
    this.measure(now - timestamp, now);
    this.packets.push({ packet, timestamp });
    if (this.packets.length > PACKETS_MAX) this.packets.shift();
    if (this.playing && this.level > this.target + BACKLOG) this.cut();
  }

  /** Learns from a packet how late packets are. @param {number} transit @param {number} now */
  measure(transit, now) {
    if (Math.abs(transit - this.base) > OTHER_TIMELINE) {
      this.base = this.nextBase = transit;
      this.baseSince = now;
    }
    if (now - this.baseSince > BASE_SPAN) {
      this.base = this.nextBase;
      this.nextBase = transit;
      this.baseSince = now;
    }
    this.base = Math.min(this.base, transit);
    this.nextBase = Math.min(this.nextBase, transit);
    const late = transit - this.base;
    const { peaks } = this;
    if (now - this.peakSince >= 1000 || peaks.length === 0) {
      this.peakSince = now;
      peaks.push(late);
      if (peaks.length > SECONDS) peaks.shift();
    } else if (late > peaks[peaks.length - 1]) peaks[peaks.length - 1] = late;
    else return;
    const [worst, second = 0] = [...peaks].sort((x, y) => y - x);
    this.lateness = worst < STALL ? worst : Math.max(second, peaks.length === 1 ? worst : 0);
  }

  cut() {
    while (this.level > this.target) {
      this.packets.shift();
      this.stats.cut += FRAME;
    }
    this.due = this.packets[0].timestamp;
  }

  /** What is to be heard next. @param {number} now @returns {Float32Array} at the codec's rate; any length but 0 */
  pull(now) {
    const [head] = this.packets;
    const held = head ? now - head.timestamp - this.base : 0;
    if (!this.playing) {
      if (!head || held < this.target) return new Float32Array((this.codec.rate * IDLE) / 1000);
      this.playing = true;
      if (!this.madeUp) this.due = head.timestamp;
    }
    if (!head) return this.underrun();
    if (this.missing(head.timestamp)) {
      this.due = (this.due + FRAME) >>> 0;
      return this.conceal();
    }
    this.held = held;
    return this.stretched(this.next());
  }

  underrun() {
    if (this.madeUp === 0) this.stats.underruns++;
    if (this.madeUp < CONCEAL_MAX) return this.conceal();
    this.playing = false;
    return new Float32Array((this.codec.rate * IDLE) / 1000);
  }

  /** Whether a frame was lost before the one at `timestamp`, and is worth making up. @param {number} timestamp */
  missing(timestamp) {
    const gap = (timestamp - this.due) | 0;
    return gap > FRAME / 2 && gap < OTHER_TIMELINE && this.madeUp < Math.min(CONCEAL_MAX, Math.round(gap / FRAME));
  }

  conceal() {
    this.madeUp++;
    this.stats.concealed += FRAME;
    return this.codec.conceal?.() ?? this.repeater?.conceal(this.codec.frame) ?? new Float32Array(this.codec.frame);
  }

  /** Decodes the first packet. */
  next() {
    const first = this.packets.shift();
    if (!first) return new Float32Array(0);
    const pcm = this.codec.decode(first.packet);
    this.due = (first.timestamp + FRAME) >>> 0;
    if (pcm.length === 0) return this.conceal();
    if (this.repeater) {
      if (this.madeUp) fadeIn(pcm, this.repeater.conceal(Math.round(this.codec.rate * JOIN_S)));
      this.repeater.heard(pcm);
    }
    this.madeUp = 0;
    this.stats.played += FRAME;
    return pcm;
  }

  /** @param {Float32Array} pcm @returns {Float32Array} */
  stretched(pcm) {
    if (this.rest > 0) {
      this.rest--;
      return pcm;
    }
    const ms = 1000 / this.codec.rate;
    if (this.held > this.target + OFF && this.packets.length > 0 && !this.missing(this.packets[0].timestamp)) {
      const both = joined(pcm, this.next());
      const out = shorten(both, this.codec.rate);
      this.stats.shortened += (both.length - out.length) * ms;
      if (out !== both) this.rest = REST;
      return out;
    }
    if (this.held < this.target - OFF) {
      const out = lengthen(pcm, this.codec.rate);
      this.stats.lengthened += (out.length - pcm.length) * ms;
      if (out !== pcm) this.rest = REST;
      return out;
    }
    return pcm;
  }
}

/** @param {Float32Array} pcm changed at its beginning @param {Float32Array} before */
function fadeIn(pcm, before) {
  for (let i = 0; i < before.length; i++) pcm[i] += (before[i] - pcm[i]) * (1 - i / before.length);
}

/** @param {Float32Array} a @param {Float32Array} b */
function joined(a, b) {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
