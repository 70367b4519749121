/** Tells of an incoming call where the page is not looked at: a notification, and a title that blinks. */
import { nameOf } from '../address.js';

export class IncomingNotice {
  /** @type {Notification | null} */
  #notification = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer = undefined;
  #title = '';

  /** @param {import('../phone.js').Call} call @param {string} text @param {boolean} notify @param {() => void} clicked */
  open(call, text, notify, clicked) {
    this.close();
    const name = nameOf(call.remote);
    this.#title = document.title;
    let on = false;
    const blink = () => { document.title = (on = !on) ? `${text}: ${name}` : this.#title; };
    blink();
    this.#timer = setInterval(blink, 1000);
    if (notify && globalThis.Notification?.permission === 'granted' && !document.hasFocus()) {
      try {
        this.#notification = new Notification(text, { body: name, tag: 'web-phone', requireInteraction: true });
        this.#notification.onclick = () => {
          window.focus();
          clicked();
          this.close();
        };
      } catch {
        // Android shows notifications by service workers only.
      }
    }
  }

  close() {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    document.title = this.#title;
    this.#notification?.close();
    this.#notification = null;
  }
}
