/** How good a call is: numbers each second, and bars for people. */

/**
 * @typedef {object} CallStats
 * @property {number | null} rtt     to the gateway and back, ms
 * @property {number} jitter    worst lateness of late, ms
 * @property {number} buffer    held back to smooth it, ms
 * @property {number} loss      share of the last second that was made up, 0 to 1
 * @property {number} dropped   frames not sent, for the connection was backed up
 * @property {number} received  ms of sound in the last second
 * @property {number} mos       estimate, 1 to 4.5
 * @property {string | null} codec  of what arrives
 * @property {Record<string, any> | null} sip  the gateway's figures of its other side, as docs/protocol.md has them
 */

const SECOND = 1000;
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
    this.traffic = { rtt: /** @type {number | null} */ (null), dropped: 0 };
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
    this.sip = figures;
  }

  stop() {
    this.life.abort();
  }

  #second() {
    if (!this.player) return;
    const { player: now, before, traffic } = this;
    this.before = now;
    if (!before || !now.codec) return;
    const received = now.played - before.played;
    const concealed = now.concealed - before.concealed;
    this.silent = received > 0 ? 0 : this.silent + 1;
    const loss = Math.min(1, concealed / Math.max(received + concealed, SECOND / 2));
    const delay = (traffic.rtt ?? 0) / 2 + now.target + REST;
    this.stats = {
      rtt: traffic.rtt, jitter: now.jitter, buffer: now.buffer, loss, dropped: traffic.dropped, received, codec: now.codec,
      mos: Math.min(estimate(delay, loss), typeof this.sip?.mos === 'number' ? this.sip.mos + 0.1 : 5), // its scale ends at 4.4
      sip: this.sip,
    };
    this.tell('stats', { stats: this.stats });
    this.tell('quality', this.silent >= SILENT_S ? { bars: 0, why: 'silent' } : bars(this.stats, delay));
  }
}

/** ITU-T G.107's E-model in short: what delay and loss take from a good connection. @param {number} delay ms @param {number} loss */
export function estimate(delay, loss) {
  const r = 93.2 - 0.024 * delay - (delay > 177.3 ? 0.11 * (delay - 177.3) : 0) - 95 * (loss / (loss + 0.1));
  if (r <= 0) return 1;
  return Math.min(4.5, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

/** @param {CallStats} stats @param {number} delay */
function bars({ mos, loss, sip }, delay) {
  const count = mos > 4 ? 4 : mos > 3.6 ? 3 : mos > 2.8 ? 2 : 1;
  return { bars: count, why: count === 4 ? '' : loss > 0.02 || (sip?.mos ?? 5) < 3.6 ? 'loss' : delay > 250 ? 'delay' : 'jitter' };
}
