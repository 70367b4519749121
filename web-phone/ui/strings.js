/** Everything that the phone says to people, in one table. Another language is another table: `setStrings({...})`. */

export const en = {
  // Signing in
  signInTitle: 'Sign in',
  guestHint: 'A guest number is filled in: sign in as it is, or use your own SIP account.',
  address: 'SIP address',
  addressHint: 'name@domain',
  password: 'Password',
  display: 'Your name, as others see it',
  login: 'User name, if it differs',
  more: 'More',
  remember: 'Remember on this device',
  signIn: 'Sign in',
  signOut: 'Sign out',
  badAddress: 'An address looks like name@domain.',
  tryTitle: 'Or just try it',
  callEcho: 'Call echo',
  callHello: 'Call hello',
  echoHint: 'speaks back what you say',
  helloHint: 'plays a greeting',
  // Connection
  idle: 'Not signed in',
  connecting: 'Connecting…',
  ready: 'Ready',
  readyOutOnly: 'Ready, but cannot be called',
  reconnecting: 'Connection lost. Trying again…',
  closed: 'Signed out',
  guestsNotRegistered: 'This gateway registers no guests: you can call, but not be called.',
  unregistered: 'The server no longer takes calls for you ({reason}). It is tried again.',
  replaced: 'Another phone has signed in with this address.',
  refused: 'The server refused: {reason}',
  noToken: 'The page has no token to sign in with: {reason}',
  // Dialling
  dial: 'Name or number',
  dialHint: 'bob, bob@example.com or +1 555 1234',
  call: 'Call',
  erase: 'Delete the last character',
  keypad: 'Keypad',
  key: 'Key {key}',
  recent: 'Recent calls',
  noRecent: 'Calls you make and receive appear here.',
  clear: 'Clear',
  clearRecent: 'Clear recent calls',
  outgoing: 'outgoing', incoming: 'incoming', missed: 'missed', failed: 'not answered',
  // In a call
  calling: 'Calling…', ringing: 'Ringing…', active: 'In call', held: 'On hold', 'remote-held': 'The other side put you on hold',
  incomingCall: 'Incoming call', answer: 'Answer', decline: 'Decline', hangUp: 'Hang up', answering: 'Answering…',
  mute: 'Mute', muted: 'Muted', hold: 'Hold', devices: 'Sound',
  transfer: 'Transfer', transferTo: 'Transfer to', transferFailed: 'Transfer failed: {reason}',
  duration: 'Duration', microphoneLevel: 'Microphone level',
  quality: 'Quality: {bars} of 4',
  whyLoss: 'sound is getting lost', whyDelay: 'long delay', whyJitter: 'unsteady network', whyOut: 'the other side may not hear you well', whySilent: 'nothing is heard from the other side',
  // How calls end
  ended: 'Call ended', endedAfter: 'Call ended after {time}', busy: '{name} is busy', declined: '{name} declined', notFound: 'Nobody is known as {name}',
  unavailable: '{name} is not available', timeout: 'No answer', missedFrom: 'Missed call from {name}', lost: 'The call was cut: the connection to the gateway broke',
  rejected: 'The call failed: {reason}', noCodec: 'The other side speaks no codec of ours', inCall: 'There is a call already', callerGone: 'The caller has hung up',
  // Sound
  settings: 'Settings', back: 'Back', microphone: 'Microphone', speaker: 'Speaker', ring: 'Ringtone on', systemDefault: 'System default',
  device: 'Device {number}', showDevices: 'Allow the microphone, to choose devices', volume: 'Volume', gain: 'Microphone volume',
  echoCancellation: 'Echo cancellation', noiseSuppression: 'Noise suppression', autoGainControl: 'Automatic microphone level',
  loopback: 'Stronger echo cancellation (adds delay)', notifications: 'Notify me of calls', notificationsBlocked: 'Notifications are blocked in the browser.',
  soundFailed: 'That device cannot be used: {reason}',
  enableSound: 'Sound is off until you click. Click here to turn it on.',
  // What is missing
  insecureTitle: 'No microphone here',
  insecure: 'Browsers give a microphone only to pages that came over https, or from this same machine. Put the gateway behind a proxy that has a certificate and open this page as https://, or open it as http://localhost on the machine where the gateway runs; from afar a tunnel does the same: ssh -L 8080:localhost:8080 that-machine.',
  browserTitle: 'This browser is too old for calls',
  browser: 'It has no AudioWorklet or no access to a microphone. A current Firefox, Chrome, Edge or Safari will do.',
  'microphone-denied': 'The microphone is blocked. Allow it beside the address of this page, then call again.',
  'microphone-missing': 'No microphone was found. Plug one in, then call again.',
  network: 'The gateway cannot be reached.',
};

let table = en;

/** @param {Partial<typeof en>} strings what is not there stays English */
export function setStrings(strings) {
  table = { ...en, ...strings };
}

/** @param {keyof typeof en} key @param {Record<string, string | number>} [values] for the {places} */
export const t = (key, values = {}) => table[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
