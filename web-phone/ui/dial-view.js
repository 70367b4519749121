/** Whom to call: a field, keys, and who it was lately. */
import { nameOf, shortUri } from '../address.js';
import { clock, h, icon } from './dom.js';
import { pad } from './pad.js';
import { t } from './strings.js';

/** @typedef {import('./store.js').RecentCall} RecentCall */

/**
 * @param {object} given
 * @param {string} given.domain  where echo and hello live
 * @param {string} given.dial    filled in to begin with
 * @param {boolean} given.compact  no recent calls
 * @param {RecentCall[]} given.recent
 * @param {(destination: string) => void} given.call
 * @param {(key: string) => void} given.press   sounds
 * @param {() => void} given.clear
 */
export function dialView({ domain, dial, compact, recent, call, press, clear }) {
  const input = h('input', {
    type: 'text', inputMode: 'email', value: dial, placeholder: t('dial'), 'aria-label': `${t('dial')}: ${t('dialHint')}`, autocomplete: 'off',
    autocapitalize: 'none', spellcheck: false, enterKeyHint: 'go', part: 'input',
  });
  // Up and Down go through the recent calls, as in a shell.
  let at = -1;
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    const known = [...new Set(recent.map(({ uri }) => shortUri(uri)))];
    at = Math.max(-1, Math.min(known.length - 1, at + (event.key === 'ArrowUp' ? 1 : -1)));
    input.value = known[at] ?? '';
    event.preventDefault();
  });
  const type = (/** @type {string} */ key) => {
    input.value += key;
    press(key);
  };
  const go = () => {
    if (input.value.trim()) call(input.value.trim());
    else if (recent[0]) input.value = shortUri(recent[0].uri); // as telephones redial
    else input.focus();
  };
  const form = h('form', { class: 'dial', onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); go(); } },
    h('div', { class: 'dialfield' }, input,
      h('button', { type: 'button', class: 'plain', 'aria-label': t('erase'), onclick: () => { input.value = input.value.slice(0, -1); } }, icon('erase'))),
    pad(type),
    h('button', { type: 'submit', class: 'primary go', part: 'button primary' }, icon('phone'), t('call')),
    h('div', { class: 'quick' },
      h('button', { type: 'button', part: 'button', onclick: () => call(`sip:echo@${domain}`) }, t('callEcho')),
      h('button', { type: 'button', part: 'button', onclick: () => call(`sip:hello@${domain}`) }, t('callHello'))));
  const list = !compact && h('section', { class: 'recent', part: 'recent', 'aria-label': t('recent') },
    h('div', { class: 'top' }, h('h2', {}, t('recent')), recent.length > 0 && h('button', { class: 'plain small', type: 'button', 'aria-label': t('clearRecent'), onclick: clear }, t('clear'))),
    recent.length ? h('ul', {}, ...recent.map((entry) => row(entry, call))) : h('p', { class: 'hint' }, t('noRecent')));
  const element = h('div', { class: 'view', part: 'dial' }, h('div', { class: compact ? '' : 'columns' }, form, list));
  return { element, input, type };
}

/** @param {RecentCall} entry @param {(destination: string) => void} call */
function row(entry, call) {
  const when = moment(entry.at);
  const name = nameOf(entry);
  const address = shortUri(entry.uri);
  const details = [t(entry.kind), address !== name && address, entry.seconds >= 1 && clock(entry.seconds)].filter(Boolean).join(' · ');
  return h('li', { class: entry.kind }, h('button', { type: 'button', onclick: () => call(entry.uri) }, icon(entry.kind),
    h('span', { class: 'text' }, h('b', {}, hidden(`${t('call')} `), name, hidden(' ')), h('span', {}, details)), h('time', {}, when)));
}

/** For screen readers only. @param {string} text */
const hidden = (text) => h('span', { class: 'sr' }, text);

/** @param {number} at ms */
function moment(at) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString(undefined, today ? { hour: '2-digit', minute: '2-digit' } : { day: 'numeric', month: 'short' });
}
