/** The sounds of a telephone, made by oscillators: keys, ringing at both ends, busy. None of them goes to the far end. */

/** @type {Record<string, [number, number]>} Hz (ITU-T Q.23) */
const KEYS = {
  1: [697, 1209], 2: [697, 1336], 3: [697, 1477], A: [697, 1633],
  4: [770, 1209], 5: [770, 1336], 6: [770, 1477], B: [770, 1633],
  7: [852, 1209], 8: [852, 1336], 9: [852, 1477], C: [852, 1633],
  '*': [941, 1209], 0: [941, 1336], '#': [941, 1477], D: [941, 1633],
};
const KEY_S = 0.1, KEY_GAP_S = 0.06;

/** A pattern is a list of notes in a bar that repeats: [start s, length s, frequencies Hz, loudness]. @typedef {{bar: number, repeat: number, notes: [number, number, number[], number][]}} Pattern */

/** @type {Record<string, Pattern>} */
const PATTERNS = {
  /** What the caller hears while it rings. */
  ringback: { bar: 4, repeat: 30, notes: [[0, 1, [425], 0.08]] },
  busy: { bar: 1, repeat: 3, notes: [[0, 0.5, [425], 0.08]] },
  ended: { bar: 0.3, repeat: 2, notes: [[0, 0.12, [425], 0.06]] },
  /** What the called one hears: two rising figures of a marimba kind. */
  ringtone: {
    bar: 3, repeat: 40,
    notes: [659.3, 880, 1108.7, 1318.5].flatMap((hz, i) => /** @type {[number, number, number[], number][]} */ ([
      [i * 0.14, 0.5, [hz, hz * 2.01], 0.16], [0.9 + i * 0.14, 0.5, [hz * 1.122, hz * 2.25], 0.16],
    ])),
  },
};

export class Tones {
  /** @param {AudioContext} context @param {AudioNode} [output] */
  constructor(context, output = context.destination) {
    this.context = context;
    this.output = output;
    this.keysUntil = 0;
    /** @type {Map<string, {stop: () => void}>} */
    this.playing = new Map();
  }

  /** @param {string} digits */
  keys(digits) {
    let at = Math.max(this.context.currentTime, this.keysUntil);
    for (const key of digits.toUpperCase()) {
      if (!KEYS[key]) continue;
      note(this.context, this.output, at, KEY_S, KEYS[key], 0.1, 0.005);
      at += KEY_S + KEY_GAP_S;
    }
    this.keysUntil = at;
  }

  /** @param {'ringback' | 'busy' | 'ended' | 'ringtone'} name */
  start(name) {
    this.stop(name);
    const { bar, repeat, notes } = PATTERNS[name];
    const gain = new GainNode(this.context);
    gain.connect(this.output);
    let count = 0;
    let next = this.context.currentTime + 0.02;
    // Two bars ahead, so that a timer slowed down in a hidden tab leaves no hole.
    const schedule = () => {
      while (count < repeat && next < this.context.currentTime + 2 * bar) {
        for (const [start, length, hz, loudness] of notes) {
          note(this.context, gain, next + start, length, hz, loudness, name === 'ringtone' ? length * 0.9 : 0.01);
        }
        next += bar;
        count++;
      }
    };
    schedule();
    const timer = setInterval(schedule, bar * 500);
    this.playing.set(name, {
      stop: () => {
        clearInterval(timer);
        gain.disconnect();
      },
    });
  }

  /** @param {string} [name] all without */
  stop(name) {
    for (const [key, tone] of this.playing) {
      if (name && key !== name) continue;
      tone.stop();
      this.playing.delete(key);
    }
  }
}

/**
 * @param {AudioContext} context @param {AudioNode} output
 * @param {number} at s @param {number} length s @param {number[]} hz @param {number} loudness @param {number} fade s at the end
 */
function note(context, output, at, length, hz, loudness, fade) {
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(loudness, at + 0.005);
  gain.gain.setValueAtTime(loudness, at + Math.max(0.005, length - fade));
  gain.gain.linearRampToValueAtTime(0, at + length);
  gain.connect(output);
  for (const frequency of hz) {
    const oscillator = new OscillatorNode(context, { frequency });
    oscillator.connect(gain);
    oscillator.start(at);
    oscillator.stop(at + length);
    oscillator.onended = () => gain.disconnect();
  }
}
