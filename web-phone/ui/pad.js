/** Twelve keys. */
import { h } from './dom.js';
import { t } from './strings.js';

const LETTERS = { 1: '', 2: 'ABC', 3: 'DEF', 4: 'GHI', 5: 'JKL', 6: 'MNO', 7: 'PQRS', 8: 'TUV', 9: 'WXYZ', '*': '', 0: '+', '#': '' };
const KEYS = /** @type {(keyof typeof LETTERS)[]} */ (/** @type {unknown} */ (['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#']));
const NAMES = { '*': 'star', '#': 'hash' };

/** @param {(key: string) => void} press */
export const pad = (press) =>
  h('div', { class: 'pad', part: 'keypad', role: 'group', 'aria-label': t('keypad') }, ...KEYS.map((key) =>
    h('button', { type: 'button', part: 'key', 'aria-label': t('key', { key: /** @type {any} */ (NAMES)[key] ?? key }), 'data-key': key, onclick: () => press(String(key)) },
      h('span', { 'data-letters': LETTERS[key] }, String(key)))));
