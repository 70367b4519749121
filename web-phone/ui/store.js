/**
 * What the phone keeps: account, settings, recent calls. With leave to remember, on the device; an account that is not to be
 * remembered, until the tab is closed. Without leave, until the page goes.
 */

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
      const name = `${this.name}.${key}`;
      const text = this.memory.get(key) ?? (this.keep ? sessionStorage.getItem(name) ?? localStorage.getItem(name) : null);
      return text === null ? null : JSON.parse(text);
    } catch {
      return null;
    }
  }

  /** @param {string} key @param {unknown} value null forgets @param {boolean} [device] or only for this tab */
  write(key, value, device = true) {
    const text = JSON.stringify(value);
    this.memory.set(key, text);
    if (!this.keep) return;
    try {
      const name = `${this.name}.${key}`;
      for (const storage of [localStorage, sessionStorage]) storage.removeItem(name);
      if (value !== null) (device ? localStorage : sessionStorage).setItem(name, text);
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
