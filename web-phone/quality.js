/** How good a call is: numbers each second, and bars for people. */

/**
 * @typedef {object} CallStats
 * @property {number | null} rtt     to the gateway and back, ms
 * @property {number} jitter    worst lateness of late, ms
 * @property {number} buffer    held back to smooth it, ms
 * @property {number} loss      share of the last second that was made up, 0 to 1
 * @property {number} dropped   frames not sent, for the connection was backed up
 * @property {number} received  ms of sound in the last second
 * @property {number} mos       estimate of what is heard here, 1 to 4.5: of both ways that it came, the worse
 * @property {number} mosOut    of what is heard there
 * @property {string | null} codec  of what arrives
 * @property {Record<string, any> | null} sip  the gateway's figures of its other side, as docs/protocol.md has them
 */

const SECOND = 1000, FRAME = 20;
/** Encoder, frame, worklets and the SIP side's own buffer, ms: a guess for the estimate. */
const REST = 60;
/** Seconds without any sound before the bars go out. */
const SILENT_S = 3;

export class Quality {
  /** @param {(type: string, detail: object) => void} tell */
  constructor(tell) {
    this.tell = tell;
    /** @type {CallStats | null} */
    this.stats = null;
    /** @type {any} the player's newest numbers */
    this.player = null;
    /** @type {any} and those of a second ago */
    this.before = null;
    /** What the gateway says of the SIP side. @type {Record<string, any> | null} */
    this.sip = null;
    /** The share of our sound that did not get from the gateway on: of the last figures. */
    this.lostBeyond = 0;
    this.traffic = { rtt: /** @type {number | null} */ (null), dropped: 0 };
    this.droppedBefore = 0;
    this.silent = 0;
    this.life = new AbortController();
  }

  /** @param {EventTarget} audio @param {EventTarget | null} connection */
  begin(audio, connection) {
    const { signal } = this.life;
    audio.addEventListener('level', (event) => this.tell('level', /** @type {CustomEvent} */ (event).detail), { signal });
    audio.addEventListener('stats', (event) => { this.player = /** @type {CustomEvent} */ (event).detail; }, { signal });
    connection?.addEventListener('traffic', (event) => { this.traffic = /** @type {CustomEvent} */ (event).detail; }, { signal });
    const timer = setInterval(() => this.#second(), SECOND);
    signal.addEventListener('abort', () => clearInterval(timer));
  }

  /** @param {Record<string, any>} figures */
  gatewaySays(figures) {
    const { sip: before } = this;
    const gone = (/** @type {any} */ of) => (of?.droppedMs ?? 0) + (of?.filledMs ?? 0);
    const ms = (figures.seconds - (before?.seconds ?? 0)) * SECOND;
    this.lostBeyond = ms > 0 ? Math.min(1, Math.max(0, gone(figures) - gone(before)) / ms) : 0;
    this.sip = figures;
  }

  stop() {
    this.life.abort();
  }

  #second() {
    if (!this.player) return;
    const { player: now, before, traffic, sip } = this;
    this.before = now;
    const lostHere = Math.min(1, ((traffic.dropped - this.droppedBefore) * FRAME) / SECOND);
    this.droppedBefore = traffic.dropped;
    if (!before || !now.codec) return;
    const received = now.played - before.played;
    const concealed = now.concealed - before.concealed;
    this.silent = received > 0 ? 0 : this.silent + 1;
    const loss = Math.min(1, concealed / Math.max(received + concealed, SECOND / 2));
    const way = (traffic.rtt ?? 0) / 2 + REST;
    const beyond = (/** @type {unknown} */ mos) => (typeof mos === 'number' ? mos + 0.1 : 5); // the gateway's scale ends at 4.4
    this.stats = {
      rtt: traffic.rtt, jitter: now.jitter, buffer: now.buffer, loss, dropped: traffic.dropped, received, codec: now.codec, sip,
      mos: Math.min(estimate(way + now.target, loss), beyond(sip?.mos)),
      mosOut: Math.min(estimate(way, Math.max(lostHere, this.lostBeyond)), beyond(sip?.remoteMos)),
    };
    this.tell('stats', { stats: this.stats });
    this.tell('quality', this.silent >= SILENT_S ? { bars: 0, why: 'silent' } : bars(this.stats, way + now.target));
  }
}

/** ITU-T G.107's E-model in short: what delay and loss take from a good connection. @param {number} delay ms @param {number} loss */
export function estimate(delay, loss) {
  const r = 93.2 - 0.024 * delay - (delay > 177.3 ? 0.11 * (delay - 177.3) : 0) - 95 * (loss / (loss + 0.1));
  if (r <= 0) return 1;
  return Math.min(4.5, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

/** @param {CallStats} stats @param {number} delay ms @returns {{bars: number, why: '' | 'loss' | 'delay' | 'jitter' | 'out'}} by the worse direction */
export function bars({ mos, mosOut, loss, sip }, delay) {
  const worse = Math.min(mos, mosOut);
  const count = worse > 4 ? 4 : worse > 3.6 ? 3 : worse > 2.8 ? 2 : 1;
  if (count === 4) return { bars: count, why: '' };
  if (delay > 250) return { bars: count, why: 'delay' };
  if (mosOut < mos) return { bars: count, why: 'out' };
  return { bars: count, why: loss > 0.02 || (sip?.mos ?? 5) < 3.6 ? 'loss' : 'jitter' };
}
