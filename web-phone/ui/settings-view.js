/** Devices, volumes, and how the microphone is treated. */
import { h, icon } from './dom.js';
import { t } from './strings.js';

/** @typedef {import('../audio/engine.js').AudioOptions} AudioOptions */

/**
 * @param {object} given
 * @param {AudioOptions} given.options  as they are
 * @param {() => Promise<{inputs: MediaDeviceInfo[], outputs: MediaDeviceInfo[]}>} given.list
 * @param {() => Promise<void>} given.allow  asks for the microphone: before that, browsers name no devices
 * @param {(change: Partial<AudioOptions>) => void} given.change
 * @param {boolean} given.notify
 * @param {(on: boolean) => Promise<boolean>} given.setNotify  returns what came of it
 * @param {() => void} given.back
 * @param {(() => void) | null} given.signOut
 */
export function settingsView({ options, list, allow, change, notify, setNotify, back, signOut }) {
  const choice = (/** @type {'input' | 'output' | 'ring'} */ key, /** @type {string} */ label) => {
    const select = h('select', { onchange: () => change({ [key]: select.value }) });
    return { key, select, element: h('label', { class: 'field' }, h('span', {}, label), select) };
  };
  const choices = [choice('input', t('microphone')), choice('output', t('speaker')), choice('ring', t('ring'))];
  const ask = h('button', { type: 'button', hidden: true, onclick: () => allow().then(fill) }, icon('mic'), t('showDevices'));
  const fill = async () => {
    const { inputs, outputs } = await list();
    ask.hidden = inputs.length > 0;
    for (const { key, select } of choices) {
      const devices = (key === 'input' ? inputs : outputs).filter(({ deviceId }) => deviceId !== 'default');
      select.replaceChildren(h('option', { value: '' }, t('systemDefault')),
        ...devices.map(({ deviceId, label }, i) => h('option', { value: deviceId }, label || t('device', { number: i + 1 }))));
      select.value = options[key] ?? '';
    }
  };
  const slider = (/** @type {'volume' | 'gain'} */ key, /** @type {string} */ label, /** @type {number} */ max) => {
    const input = h('input', { type: 'range', min: '0', max: String(max), step: '0.05', value: String(options[key] ?? 1), oninput: () => change({ [key]: Number(input.value) }) });
    return h('label', { class: 'field' }, h('span', {}, label), input);
  };
  const check = (/** @type {'echoCancellation' | 'noiseSuppression' | 'autoGainControl' | 'loopback'} */ key) => {
    const input = h('input', { type: 'checkbox', checked: Boolean(options[key]), onchange: () => change({ [key]: input.checked }) });
    return h('label', { class: 'check' }, input, t(key));
  };
  const blocked = h('p', { class: 'hint', role: 'status' });
  const notifications = h('input', {
    type: 'checkbox', checked: notify,
    onchange: async () => {
      const wanted = notifications.checked;
      notifications.checked = await setNotify(wanted);
      blocked.textContent = wanted && !notifications.checked ? t('notificationsBlocked') : '';
    },
  });
  const backButton = h('button', { type: 'button', class: 'plain', 'aria-label': t('back'), onclick: back }, icon('back'));
  const element = h('div', { class: 'view settings', part: 'settings' },
    h('div', { class: 'titled' }, backButton, h('h2', {}, t('settings'))), ask,
    ...choices.map((each) => each.element), slider('volume', t('volume'), 1), slider('gain', t('gain'), 2),
    h('div', {}, check('echoCancellation'), check('noiseSuppression'), check('autoGainControl'), check('loopback')),
    'Notification' in globalThis && h('div', {}, h('label', { class: 'check' }, notifications, t('notifications')), blocked),
    signOut && h('button', { type: 'button', class: 'danger', onclick: signOut }, t('signOut')));
  void fill();
  return { element, fill, focus: backButton };
}
