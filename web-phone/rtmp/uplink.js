/**
 * How long what we send waits on its way, judged by pings that go the same way.
 *
 * ```text
 *   audio, audio, ping, audio, audio ~~~ socket, kernel, routers: all of them queue, and only the first says so ~~~> gateway
 *                 pong <~~~~~~~~~~~~ later than it has ever been: by so much the queues have grown
 * ```
 *
 * While it waits too long, audio is better left out than sent: it would come too late, and hold up what follows. No clock.
 */

/** ms between pings while audio flows. */
const EVERY = 500;
/** ms beyond the shortest round trip from which on audio is left out. */
const TOO_LONG = 300;
/** Round trips of which the shortest counts: half a minute of them, for routes change. */
const REMEMBERED = 60;

export class Uplink {
  /** When the ping went whose answer is awaited. @type {number | null} */
  asked = null;
  /** When the last one went. */
  askedAt = -Infinity;
  /** @type {number[]} newest last, ms */
  trips = [];

  /** Whether to ping now. @param {number} now ms */
  due(now) {
    return this.asked === null && now - this.askedAt >= EVERY;
  }

  /** @param {number} now ms */
  pinged(now) {
    this.asked ??= now; // the first that is out is the one that counts
    this.askedAt = now;
  }

  /** @param {number} trip ms that it took */
  answered(trip) {
    this.asked = null;
    this.trips.push(trip);
    if (this.trips.length > REMEMBERED) this.trips.shift();
  }

  /** The newest round trip, ms. */
  get trip() {
    return this.trips.at(-1) ?? null;
  }

  /** Whether what is sent now would come too late. Never before a first answer. @param {number} now ms */
  late(now) {
    return this.asked !== null && this.trips.length > 0 && now - this.asked > Math.min(...this.trips) + TOO_LONG;
  }
}
