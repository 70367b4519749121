/** Who are you? With an answer filled in. */
import { h } from './dom.js';
import { t } from './strings.js';

/** @typedef {import('./store.js').Account} Account */

/**
 * @param {object} given
 * @param {Account} given.account  to begin with
 * @param {string} given.domain    where echo and hello live
 * @param {(account: Account, then?: string) => void} given.signIn  `then`: whom to call at once
 */
export function signInView({ account, domain, signIn }) {
  const field = (/** @type {string} */ label, /** @type {any} */ properties) => {
    const input = h('input', { type: 'text', spellcheck: false, autocapitalize: 'none', ...properties });
    return { input, label: h('label', { class: 'field' }, h('span', {}, label), input) };
  };
  const user = field(t('address'), { value: account.user, placeholder: t('addressHint'), autocomplete: 'username', required: true });
  const password = field(t('password'), { type: 'password', value: account.password, autocomplete: 'current-password' });
  const display = field(t('display'), { value: account.display, autocomplete: 'name', autocapitalize: 'words' });
  const login = field(t('login'), { value: account.login, autocomplete: 'off' });
  const remember = h('input', { type: 'checkbox', checked: account.remember });
  // Somebody of their own: the guest's password is not theirs, and keeping theirs is for them to say.
  user.input.addEventListener('input', () => {
    if (!account.guest || password.input.value !== account.password) return;
    password.input.value = '';
    remember.checked = false;
  });
  const wrong = h('p', { class: 'wrong', role: 'alert' });

  const submit = (/** @type {string | undefined} */ then) => {
    const address = user.input.value.trim().replace(/^sips?:/i, '');
    if (!/^[^\s@<>"]+@[^\s@<>"]+$/.test(address)) {
      wrong.textContent = t('badAddress');
      user.input.focus();
      return;
    }
    wrong.textContent = '';
    const guest = account.guest && address === account.user && password.input.value === account.password;
    signIn({ user: address, password: password.input.value, login: login.input.value.trim(), display: display.input.value.trim(), guest, remember: remember.checked }, then);
  };

  const element = h('div', { class: 'view signin', part: 'sign-in' },
    h('form', { class: 'stack', novalidate: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); submit(undefined); } },
      h('div', {}, h('h2', {}, t('signInTitle')), account.guest && h('p', { class: 'hint' }, t('guestHint'))),
      user.label, password.label, wrong, h('label', { class: 'check' }, remember, t('remember')),
      h('details', {}, h('summary', {}, t('more')), display.label, login.label),
      h('button', { type: 'submit', class: 'primary', part: 'button primary' }, t('signIn'))),
    h('div', { class: 'try' }, h('h2', {}, t('tryTitle')),
      h('button', { type: 'button', part: 'button', onclick: () => submit(`sip:echo@${domain}`) }, h('span', {}, t('callEcho')), h('small', {}, t('echoHint'))),
      h('button', { type: 'button', part: 'button', onclick: () => submit(`sip:hello@${domain}`) }, h('span', {}, t('callHello')), h('small', {}, t('helloHint')))));
  return { element };
}
