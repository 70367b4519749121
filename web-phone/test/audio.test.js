import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { makeCodec } from '../audio/codecs.js';
import { JitterBuffer } from '../audio/jitter.js';
import { Meter } from '../audio/meter.js';
import { findPeriod, lengthen, rms, shorten } from '../audio/pitch.js';
import { Player } from '../audio/player.js';
import { Recorder } from '../audio/recorder.js';
import { Resampler } from '../audio/resampler.js';

const wasm = new Uint8Array(readFileSync(new URL('../audio/speex.wasm', import.meta.url))).buffer;

/** @param {number} hz @param {number} rate @param {number} samples @param {number} [amplitude] */
const tone = (hz, rate, samples, amplitude = 0.5) =>
  Float32Array.from({ length: samples }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate));

/** A voice's likeness: pulses at a pitch that wanders, words and pauses. @param {number} rate @param {number} samples */
function voice(rate, samples) {
  let phase = 0, random = 1;
  return Float32Array.from({ length: samples }, (_, i) => {
    const t = i / rate;
    phase += (120 + 30 * Math.sin(t * 5)) / rate;
    random = (random * 48271) % 2147483647;
    const pulse = Math.exp(-((phase % 1) * 12)) * Math.sin((phase % 1) * 40);
    return (0.4 * pulse + 0.005 * (random / 1e9 - 1)) * (Math.sin(t * 9) > -0.6 ? 1 : 0.01);
  });
}

/** Amplitude of one frequency. @param {Float32Array} pcm @param {number} hz @param {number} rate */
function strength(pcm, hz, rate) {
  let re = 0, im = 0;
  pcm.forEach((x, i) => {
    re += x * Math.cos((2 * Math.PI * hz * i) / rate);
    im += x * Math.sin((2 * Math.PI * hz * i) / rate);
  });
  return (2 * Math.hypot(re, im)) / pcm.length;
}

/** Best correlation of `b` within `a`. @param {Float32Array} a @param {Float32Array} b @param {number} lagMax */
function likeness(a, b, lagMax) {
  let best = { lag: 0, value: -1 };
  for (let lag = 0; lag <= lagMax; lag++) {
    let both = 0, aa = 0, bb = 0;
    for (let i = 0; i + lag < b.length && i < a.length; i += 2) {
      both += a[i] * b[i + lag];
      aa += a[i] * a[i];
      bb += b[i + lag] * b[i + lag];
    }
    const value = both / Math.sqrt(aa * bb + 1e-9);
    if (value > best.value) best = { lag, value };
  }
  return best;
}

for (const [from, to] of [[44_100, 16_000], [48_000, 16_000], [48_000, 8_000], [16_000, 44_100], [8_000, 48_000], [96_000, 16_000], [16_000, 16_000]]) {
  test(`${from} to ${to} Hz keeps a tone, its length, and what cannot be is gone`, () => {
    const resampler = new Resampler(from, to);
    const input = tone(1000, from, from);
    const parts = [];
    for (let at = 0; at < input.length; at += 128) parts.push(...resampler.process(input.subarray(at, at + 128)));
    const out = Float32Array.from(parts);
    const missing = (resampler.delay * to) / from;
    assert.ok(Math.abs(out.length + missing - to) < 2 + missing, `${out.length} samples`);
    const steady = out.subarray(out.length >> 2, out.length - (out.length % (to / 1000)) - (to / 1000) * 10);
    assert.ok(Math.abs(strength(steady, 1000, to) - 0.5) < 0.005, `1 kHz comes through with ${strength(steady, 1000, to)}`);
    if (from > to) {
      const high = new Resampler(from, to).process(tone(to / 2 + 800, from, from));
      assert.ok(rms(high.subarray(1000)) < 0.002, `an alias of ${rms(high.subarray(1000))}`);
    }
    let noise = 0;
    const fit = strength(steady, 1000, to);
    assert.ok(Math.abs(rms(steady) - fit / Math.SQRT2) < 0.001 + noise, 'nothing but the tone');
  });
}

test('G.711 keeps speech to 38 dB below it, every code comes back as itself', () => {
  for (const name of /** @type {const} */ (['pcmu', 'pcma'])) {
    const codec = makeCodec(name, null);
    const speech = voice(8000, 16_000);
    const back = codec.decode(codec.encode(speech));
    const error = rms(back.map((x, i) => x - speech[i]));
    assert.ok(error < rms(speech) / 60, `${name}: ${error} of ${rms(speech)}`);
    const codes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const again = codec.encode(codec.decode(codes));
    const wrong = codes.filter((code, i) => again[i] !== code);
    assert.ok(wrong.length <= 1, `${name}: ${wrong}`); // mu-law has two zeros
  }
});

test('known codes of G.711', () => {
  const [mu, a] = [makeCodec('pcmu', null), makeCodec('pcma', null)];
  assert.deepEqual([...mu.encode(Float32Array.of(0, 1, -1))], [0xff, 0x80, 0x00]);
  assert.deepEqual([...a.encode(Float32Array.of(0, 1, -1))], [0xd5, 0xaa, 0x2a]);
  assert.equal(Math.round(mu.decode(Uint8Array.of(0x80))[0] * 32768), 32124);
  assert.equal(Math.round(a.decode(Uint8Array.of(0xaa))[0] * 32768), 32256);
});

test('Speex carries speech, in frames of 20 ms', () => {
  const codec = makeCodec('speex', wasm);
  const speech = voice(16_000, 32_000);
  const out = [];
  for (let at = 0; at + 320 <= speech.length; at += 320) out.push(...codec.decode(codec.encode(speech.subarray(at, at + 320))));
  const { value, lag } = likeness(speech, Float32Array.from(out), 400);
  assert.ok(value > 0.8 && lag > 150 && lag < 320, `likeness ${value} at ${lag}`);
});

test('a packet that is no Speex makes no sound and no trap', () => {
  const codec = makeCodec('speex', wasm);
  let random = 7;
  for (let i = 0; i < 300; i++) {
    const packet = Uint8Array.from({ length: i % 90 }, () => (random = (random * 48271) % 2147483647) & 0xff);
    assert.ok([...codec.decode(packet)].every((x) => Number.isFinite(x) && Math.abs(x) <= 1));
  }
  assert.equal(codec.decode(new Uint8Array(5000)).length, 0);
});

test('a period is found, taken out and put in without a click', () => {
  const pcm = tone(200, 16_000, 640);
  assert.ok(Math.abs((findPeriod(pcm, 16_000).lag % 80)) <= 1 || findPeriod(pcm, 16_000).lag % 80 === 79);
  for (const out of [shorten(pcm, 16_000), lengthen(pcm, 16_000)]) {
    assert.notEqual(out.length, 640);
    assert.equal(Math.abs(out.length - 640) % 80, 0);
    for (let i = 1; i < out.length; i++) assert.ok(Math.abs(out[i] - out[i - 1]) < 0.06, `a step at ${i}`);
  }
});

/**
 * A call in virtual time: a packet every 20 ms of the sender's clock, delivered `delay(n)` ms late, in order.
 * @param {{seconds?: number, delay?: (n: number) => number, lost?: (n: number) => boolean, drift?: number, codec?: 'speex' | 'pcmu'}} options
 */
function simulate({ seconds = 20, delay = () => 0, lost = () => false, drift = 0, codec = 'pcmu' }) {
  const kind = makeCodec(codec, wasm);
  const speech = voice(kind.rate, kind.rate * seconds);
  const player = new Player(48_000, wasm);
  const deliveries = [];
  let last = 0;
  for (let n = 0; (n + 1) * kind.frame <= speech.length; n++) {
    const packet = kind.encode(speech.subarray(n * kind.frame, (n + 1) * kind.frame));
    last = Math.max(last, (n * 20 + delay(n)) * (1 + drift));
    if (!lost(n)) deliveries.push({ at: last, timestamp: n * 20, payload: Uint8Array.of(codec === 'speex' ? 0xb2 : 0x82, ...packet) });
  }
  const out = [], levels = [];
  const block = new Float32Array(128);
  for (let now = 0; now < seconds * 1000; now += (128 / 48_000) * 1000) {
    while (deliveries.length && deliveries[0].at <= now) {
      const { payload, timestamp } = /** @type {any} */ (deliveries.shift());
      player.push(payload, timestamp, now);
    }
    player.fill(block, now);
    out.push(...block);
    levels.push(player.stats.buffer);
  }
  return { stats: player.stats, levels, speech, out: Float32Array.from(out) };
}

test('a steady stream is played as it comes, 25 ms late and untouched', () => {
  const { stats, levels } = simulate({});
  assert.deepEqual([stats.underruns, stats.concealed, stats.shortened, stats.lengthened, stats.cut], [0, 0, 0, 0, 0]);
  assert.ok(Math.max(...levels) <= 40, `level ${Math.max(...levels)}`);
});

test('jitter makes the buffer as deep as needed, and no deeper', () => {
  let random = 1;
  const { stats } = simulate({ delay: () => ((random = (random * 48271) % 2147483647) / 2147483647) * 60 });
  assert.ok(stats.target >= 60 && stats.target <= 85, `target ${stats.target}`);
  assert.ok(stats.concealed <= 200, `${stats.concealed} ms made up`);
});

test('after a stall of 800 ms, which is no jitter, the delay is back within 3 s', () => {
  const { levels, stats } = simulate({ delay: (n) => (n >= 500 && n < 540 ? (540 - n) * 20 : 0) });
  const at = (/** @type {number} */ ms) => levels[Math.floor((ms * 48) / 128)];
  assert.ok(at(13_800) <= 60, `level ${at(13_800)} with target ${stats.target}`);
  assert.ok(stats.target <= 40, `target ${stats.target}`);
  assert.ok(stats.cut > 0 && stats.cut < 1000, `cut ${stats.cut}`);
});

test('a bump that widens the buffer is worked off by shortening', () => {
  const { levels, stats } = simulate({ seconds: 60, delay: (n) => (n >= 500 && n < 506 ? (506 - n) * 20 : 0) });
  assert.ok(stats.shortened > 20 && stats.cut === 0, JSON.stringify(stats));
  assert.ok(levels[levels.length - 1] <= stats.target + 40);
});

for (const drift of [-0.002, 0.002]) {
  test(`a sender whose clock is off by ${drift * 100} % is stretched, not interrupted`, () => {
    const { stats, levels } = simulate({ seconds: 60, drift });
    assert.ok(stats.concealed <= 100, `${stats.concealed} ms made up`);
    assert.ok(Math.max(...levels.slice(levels.length / 2)) <= 120, `level ${Math.max(...levels)}`);
    assert.ok(drift < 0 ? stats.shortened > 50 : stats.lengthened > 50, JSON.stringify(stats));
  });
}

for (const codec of /** @type {const} */ (['pcmu', 'speex'])) {
  test(`single lost packets of ${codec} are made up, and the time line holds`, () => {
    const { stats, levels } = simulate({ codec, lost: (n) => n % 25 === 24 });
    assert.ok(Math.abs(stats.concealed - 780) <= 40, `${stats.concealed} ms made up`);
    assert.ok(Math.max(...levels) <= 60);
    assert.equal(stats.cut, 0);
  });
}

test('what is pushed while nobody plays does not grow without end', () => {
  const buffer = new JitterBuffer(makeCodec('pcmu', null));
  for (let n = 0; n < 5000; n++) buffer.push(new Uint8Array(160), n * 20, n * 20);
  assert.ok(buffer.packets.length <= 500);
});

test('from microphone to ear: what is said is heard', () => {
  for (const codec of /** @type {const} */ (['speex', 'pcma'])) {
    const speech = voice(44_100, 44_100 * 3);
    const recorder = new Recorder(44_100, codec, wasm);
    const player = new Player(44_100, wasm);
    const out = new Float32Array(speech.length);
    for (let at = 0; at + 128 <= speech.length; at += 128) {
      for (const { payload, timestamp } of recorder.process(speech.subarray(at, at + 128))) player.push(payload, timestamp, at / 44.1);
      player.fill(out.subarray(at, at + 128), at / 44.1);
    }
    const { value, lag } = likeness(speech, out, 6000);
    assert.ok(value > 0.75, `${codec}: likeness ${value}`);
    assert.ok(lag / 44.1 < 75, `${codec}: ${lag / 44.1} ms late`);
  }
});

test('mute is silence on the wire, and the clock goes on', () => {
  const recorder = new Recorder(48_000, 'pcmu');
  recorder.muted = true;
  const messages = recorder.process(tone(440, 48_000, 48_000));
  assert.ok(messages.length >= 49 && messages.every(({ payload }) => payload.subarray(1).every((code) => code === 0xff)));
  assert.equal(messages[10].timestamp, 200);
});

test('the meter reads decibels', () => {
  const meter = new Meter();
  assert.equal(meter.take(), 0);
  meter.add(tone(100, 8000, 8000, 1));
  assert.ok(Math.abs(meter.take() - (1 - 3.01 / 60)) < 0.001);
});
