/** A call, from the first ring to the end. */
import { nameOf, shortUri } from '../address.js';
import { clock, h, icon } from './dom.js';
import { pad } from './pad.js';
import { t } from './strings.js';

/** @typedef {import('../phone.js').Call} Call */

/** @type {Record<string, 'whyLoss' | 'whyDelay' | 'whyJitter' | 'whyOut' | 'whySilent'>} */
const WHY = { loss: 'whyLoss', delay: 'whyDelay', jitter: 'whyJitter', out: 'whyOut', silent: 'whySilent' };

/**
 * @param {object} given
 * @param {Call} given.call
 * @param {boolean} given.transfer  whether to offer it
 * @param {() => void} given.answer
 * @param {() => void} given.sound  shows the devices
 * @param {(error: unknown) => void} given.failed
 */
export function callView({ call, transfer, answer, sound, failed }) {
  const life = new AbortController();
  const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ listener) => call.addEventListener(type, listener, { signal: life.signal });
  const name = nameOf(call.remote);

  const halo = h('div', { class: 'halo' });
  const avatar = h('div', { class: 'portrait', 'aria-hidden': 'true' }, halo, h('div', { class: 'avatar', part: 'avatar' }, [...name][0]?.toUpperCase() ?? '?'));
  const title = h('h2', { id: 'party' }, name);
  const state = h('span', { id: 'callstate', part: 'state' });
  const timer = h('span', { class: 'timer', role: 'timer', 'aria-label': t('duration'), part: 'timer' });
  const bars = h('span', { class: 'bars', role: 'img', part: 'quality' }, ...[1, 2, 3, 4].map(() => document.createElement('i')));
  const why = h('p', { class: 'why' });
  const fill = h('div', { class: 'fill' });
  const meter = h('div', { class: 'meter', role: 'img', 'aria-label': t('microphoneLevel') }, icon('mic'), h('div', { class: 'track' }, fill));
  const sent = h('div', { class: 'sent', part: 'digits', 'aria-live': 'polite' });
  const send = (/** @type {string} */ keys) => call.sendDigits(keys).catch(failed);
  const keys = h('div', { class: 'padpanel', hidden: true }, sent, pad(send));

  const action = (/** @type {Parameters<typeof icon>[0]} */ mark, /** @type {string} */ label, /** @type {() => void} */ click) => {
    return { button: h('button', { type: 'button', part: 'action', onclick: click }, icon(mark, mark === 'keypad' ? 'dots' : ''), h('span', {}, label)) };
  };
  const toggle = (/** @type {HTMLElement} */ panel, /** @type {HTMLButtonElement} */ button) => {
    panel.hidden = !panel.hidden;
    element.classList.toggle('withpad', !keys.hidden);
    button.setAttribute('aria-expanded', String(!panel.hidden));
  };
  const mute = action('micOff', t('mute'), () => call.mute(!call.muted));
  const hold = action('pause', t('hold'), () => call.hold(!call.onHold).catch(failed));
  const keypad = action('keypad', t('keypad'), () => toggle(keys, keypad.button));
  const target = h('input', { type: 'text', 'aria-label': t('transferTo'), placeholder: t('transferTo') });
  const transferForm = h('form', { class: 'transfer', hidden: true, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (target.value.trim()) call.transfer(target.value).catch((error) => failed(new Error(t('transferFailed', { reason: error.message })))); } },
    target, h('button', { type: 'submit', class: 'primary' }, t('transfer')));
  const pass = transfer ? action('transfer', t('transfer'), () => { toggle(transferForm, /** @type {any} */ (pass).button); target.focus(); }) : null;
  const actions = h('div', { class: 'actions', part: 'actions' }, mute.button, hold.button, keypad.button, pass?.button, action('speaker', t('devices'), sound).button);

  const take = h('button', { type: 'button', class: 'primary', part: 'button primary', onclick: () => { take.disabled = true; state.textContent = t('answering'); answer(); } }, icon('phone'), t('answer'));
  const endLabel = h('span', {});
  const end = h('button', { type: 'button', class: 'danger', part: 'button danger', onclick: () => call.hangup() }, icon('phone', 'down'), endLabel);
  const ends = h('div', { class: 'ends' }, end, take);

  const element = h('div', { class: 'view callview', part: 'call' },
    h('div', { class: 'party' }, avatar, title, shortUri(call.remote.uri) !== name && h('p', { class: 'uri' }, shortUri(call.remote.uri)), h('p', { class: 'state' }, state, timer, bars), why, meter),
    keys, transferForm, actions, ends);

  const update = () => {
    const up = call.startedAt !== null;
    const incoming = call.state === 'incoming';
    element.className = `view callview ${call.state} ${keys.hidden ? '' : 'withpad'}`;
    if (incoming) {
      element.setAttribute('role', 'alertdialog');
      element.setAttribute('aria-labelledby', 'callstate party');
    } else {
      element.removeAttribute('role');
      element.removeAttribute('aria-labelledby');
    }
    if (call.state !== 'ended') state.textContent = incoming ? t('incomingCall') : call.muted ? `${t(call.state)} · ${t('muted')}` : t(call.state);
    timer.hidden = bars.hidden = why.hidden = meter.hidden = actions.hidden = !up;
    take.hidden = !incoming;
    endLabel.textContent = incoming ? t('decline') : t('hangUp');
    hold.button.setAttribute('aria-pressed', String(call.onHold));
    mute.button.setAttribute('aria-pressed', String(call.muted));
  };
  const tick = () => {
    const text = call.startedAt ? clock((Date.now() - call.startedAt.getTime()) / 1000) : '';
    if (timer.textContent !== text) timer.textContent = text;
  };
  const interval = setInterval(tick, 500);
  let shown = '';
  const showBars = (/** @type {number} */ count, /** @type {string} */ reason) => {
    if (shown === (shown = `${count} ${reason}`)) return;
    bars.className = `bars ${count <= 1 ? 'poor' : count === 2 ? 'fair' : ''}`;
    bars.setAttribute('aria-label', t('quality', { bars: count }));
    [...bars.children].forEach((bar, i) => bar.classList.toggle('on', i < count));
    why.textContent = WHY[reason] ? t(WHY[reason]) : '';
  };
  on('state', () => { update(); tick(); });
  on('mute', update);
  on('dtmf', ({ digits }) => { sent.textContent += digits; });
  const scale = stepper(fill, (level) => `scaleX(${level})`), swell = stepper(halo, (level) => `scale(${1 + level * 0.25})`);
  on('level', (event) => {
    scale(event.in);
    swell(event.out);
  });
  on('quality', (event) => showBars(event.bars, event.why));
  showBars(4, '');
  update();
  tick();

  return {
    element,
    /** Where the keyboard should be. */
    get focus() { return call.state === 'incoming' ? take : end; },
    send,
    dispose() {
      life.abort();
      clearInterval(interval);
    },
  };
}

/** Steps from silent to loud. */
const STEPS = 12;

/**
 * A level as a transform, in steps: ten times a second for hours, so it is left to the compositor, and to nobody as long as
 * nothing changes.
 * @param {HTMLElement} element @param {(level: number) => string} transform
 */
function stepper(element, transform) {
  let step = -1;
  return (/** @type {number} */ level) => {
    if (step === (step = Math.round(level * STEPS))) return;
    element.style.transform = transform(step / STEPS);
  };
}
