/** What the phone keeps on the device: account, settings, recent calls. Without leave to remember, only until the page goes. */

/** @typedef {{user: string, password: string, login: string, display: string, guest: boolean, remember: boolean}} Account */
/** @typedef {{uri: string, display: string, kind: 'outgoing' | 'incoming' | 'missed' | 'failed', at: number, seconds: number}} RecentCall */

const RECENT_MAX = 20;

export class Store {
  /** @param {string} name prefix of the keys @param {boolean} keep */
  constructor(name, keep) {
    this.name = name;
    this.keep = keep;
    /** @type {Map<string, string>} */
    this.memory = new Map();
  }

  /** @param {string} key @returns {any} */
  read(key) {
    try {
      const text = this.memory.get(key) ?? (this.keep ? localStorage.getItem(`${this.name}.${key}`) : null);
      return text === null ? null : JSON.parse(text);
    } catch {
      return null;
    }
  }

  /** @param {string} key @param {unknown} value null forgets @param {boolean} [keep] */
  write(key, value, keep = this.keep) {
    const text = JSON.stringify(value);
    this.memory.set(key, text);
    try {
      if (keep && value !== null) localStorage.setItem(`${this.name}.${key}`, text);
      else localStorage.removeItem(`${this.name}.${key}`);
    } catch {
      // Storage may be full or forbidden; memory has it.
    }
  }

  /** @returns {RecentCall[]} newest first */
  get recent() {
    const list = this.read('recent');
    return Array.isArray(list) ? list.filter((call) => typeof call?.uri === 'string') : [];
  }

  /** @param {RecentCall} call */
  addRecent(call) {
    this.write('recent', [call, ...this.recent].slice(0, RECENT_MAX));
  }

  clearRecent() {
    this.write('recent', null);
  }
}

/** Somebody to be for the first call. @param {string} domain @returns {Account} */
export function guest(domain) {
  const [number, ...secret] = crypto.getRandomValues(new Uint16Array(9));
  return {
    user: `guest-${1000 + (number % 9000)}@${domain}`, password: secret.map((word) => word.toString(36)).join(''),
    login: '', display: '', guest: true, remember: true,
  };
}
