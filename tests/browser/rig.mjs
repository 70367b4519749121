/** What the tests stand on: a gateway, a browser whose microphone is a file, and an ear in the page. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const require = createRequire(path.join(process.env.NODE_MODULES ?? '', 'x.js'));
const { chromium } = require('playwright-core');
export const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is truthy. */
export async function until(what, ask, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await sleep(50);
  }
}

export const freePort = (address = '127.0.0.1') => new Promise((resolve) => {
  const server = net.createServer().listen(0, address, () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** A gateway of our own, with the defaults of its first run but for the ports, what a TOML file says, and where it speaks SIP. */
export async function startGateway(toml = '', here = '127.0.0.1') {
  if (process.env.PAGE && !toml) return { page: process.env.PAGE, stop() {} };
  const [http, rtmp, sip] = await Promise.all([freePort(), freePort(), freePort(here)]);
  const config = [];
  if (toml) {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'web-phone-')), 'gateway.toml');
    writeFileSync(file, toml);
    config.push('--config', file);
  }
  const child = spawn(process.env.GATEWAY, ['--http', `127.0.0.1:${http}`, '--rtmp', `127.0.0.1:${rtmp}`, '--sip', `udp:${here}:${sip}`, ...config],
    { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { log = (log + data).slice(-20_000); });
  const page = `http://127.0.0.1:${http}`;
  await until('the gateway', () => fetch(`${page}/healthz`).then((r) => r.ok, () => false));
  const root = await fetch(page).then((response) => response.text());
  if (!root.includes('<web-phone')) {
    child.kill('SIGTERM');
    throw new Error(`the gateway serves no web phone (a debug build reads it from where it was built): ${root.slice(0, 80)}`);
  }
  return { page, sip, log: () => log, stop: () => child.kill('SIGTERM') };
}

/**
 * A way to the gateway on which every piece takes `delay` to `delay + jitter` ms, in order, and which can stand still.
 * `up` narrows the way up to so many bytes a second, with all the patience of a router whose queue has no end.
 */
export async function slowNetwork(target, { delay = 0, jitter = 0, up: narrowed = Infinity, port = 0 }) {
  let stalledUntil = 0, up = narrowed;
  const pass = (from, to, rate = () => Infinity) => {
    let last = 0;
    const pieces = []; // Timers that end in the same millisecond keep no order, a stream does.
    from.on('data', (data) => {
      const now = Date.now();
      last = Math.max(last + (data.length * 1000) / rate(), stalledUntil, now + delay + Math.random() * jitter);
      pieces.push(data);
      setTimeout(() => {
        const piece = pieces.shift();
        if (to.writable) to.write(piece);
      }, last - now);
    });
    from.on('close', () => setTimeout(() => to.destroySoon(), Math.max(delay, last - Date.now() + 1)));
    from.on('error', () => {});
  };
  const sockets = [];
  const server = net.createServer((near) => {
    const far = net.connect(target.port, target.hostname);
    for (const socket of [near, far]) socket.setNoDelay(true);
    sockets.push(near, far);
    pass(near, far, () => up);
    pass(far, near);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stall: (ms) => { stalledUntil = Date.now() + ms; },
    narrow: (bytesPerSecond) => { up = bytesPerSecond; },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A name of this machine that browsers do not trust as they trust localhost. */
export const STRANGER = 'phone.example';

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${process.env.SPEECH}`,
      `--host-resolver-rules=MAP ${STRANGER} 127.0.0.1`],
  });
}

/** A page that counts what goes wrong in it, and whose microphone listens. */
export async function openPage(browser, url, { options = {}, routes = {} } = {}) {
  const context = await browser.newContext({ permissions: ['microphone', 'notifications'], viewport: { width: 900, height: 760 }, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  for (const [glob, body] of Object.entries(routes)) await page.route(glob, (route) => route.fulfill({ contentType: 'text/html', body }));
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  await page.goto(url);
  const violations = () => page.evaluate(() => globalThis.violations);
  return { page, context, faults, violations };
}

/** Records `seconds` of a call in the page of a `<web-phone>`. @returns {{rate, said, heard}} */
export async function listen(page, seconds) {
  const { rate, said, heard } = await page.evaluate(async (seconds) => {
    const { audio } = document.querySelector('web-phone').phone;
    const { context } = audio;
    // Both on one clock. A ScriptProcessor, for a worklet's file would have to be the gateway's.
    const ears = new ChannelMergerNode(context, { numberOfInputs: 2 });
    const recorder = context.createScriptProcessor(4096, 2, 1);
    const both = [[], []];
    recorder.onaudioprocess = ({ inputBuffer }) => both.forEach((all, i) => all.push(inputBuffer.getChannelData(i).slice()));
    const mono = new GainNode(context, { channelCount: 1, channelCountMode: 'explicit' });
    audio.source.connect(ears, 0, 0);
    audio.volume.connect(mono).connect(ears, 0, 1);
    ears.connect(recorder).connect(context.destination);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    recorder.disconnect();
    audio.volume.disconnect(mono);
    // As text: a list of numbers keeps everybody busy for seconds, this process too.
    const pack = (parts) => {
      const bytes = new Uint8Array(Int16Array.from(parts.flatMap((part) => [...part]), (x) => Math.round(x * 32767)).buffer);
      let text = '';
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      return btoa(text);
    };
    return { rate: context.sampleRate, said: pack(both[0]), heard: pack(both[1]) };
  }, seconds);
  const unpack = (text) => {
    const bytes = Buffer.from(text, 'base64');
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readInt16LE(2 * i) / 32767);
  };
  return { rate, said: unpack(said), heard: unpack(heard) };
}

/** The delay at which `heard` is most like `said`: normalised cross-correlation of 8 kHz copies, over whole and in pieces. */
export function compare({ rate, said, heard }, lagMaxMs = 600) {
  const step = Math.round(rate / 8000);
  const thin = (x) => Float32Array.from({ length: Math.floor(x.length / step) }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < step; k++) sum += x[i * step + k];
    return sum / step;
  });
  const [a, b] = [thin(said), thin(heard)];
  const hz = rate / step;
  const lagMax = Math.round((lagMaxMs * hz) / 1000);
  const power = (x, from, length) => {
    let sum = 0;
    for (let i = from; i < from + length; i++) sum += x[i] * x[i];
    return sum;
  };
  const at = (from, length) => {
    let best = { likeness: -1, lag: 0 };
    const aa = power(a, from, length);
    let bb = power(b, from, length); // moves along with the lag
    for (let lag = 0; lag <= lagMax && from + length + lag < b.length; lag++) {
      let ab = 0;
      for (let i = from; i < from + length; i++) ab += a[i] * b[i + lag];
      const likeness = ab / Math.sqrt(aa * bb + 1e-9);
      if (likeness > best.likeness) best = { likeness, lag };
      bb += b[from + length + lag] ** 2 - b[from + lag] ** 2;
    }
    return { likeness: best.likeness, delay: (best.lag / hz) * 1000 };
  };
  // Time-stretching moves the delay about: judge by half seconds with speech in them, and take the middle one.
  const length = Math.round(hz / 2);
  const pieces = [];
  for (let from = 0; from + length + lagMax < a.length; from += length) {
    if (Math.sqrt(power(a, from, length) / length) > 0.02) pieces.push(at(from, length));
  }
  const middle = (key) => pieces.map((piece) => piece[key]).sort((x, y) => x - y)[Math.floor(pieces.length / 2)] ?? 0;
  return { likeness: middle('likeness'), delay: middle('delay'), pieces: pieces.length };
}

export const loudness = (pcm) => Math.sqrt(pcm.reduce((sum, x) => sum + x * x, 0) / Math.max(1, pcm.length));

/** The state of the phone's only call, or of the phone. */
export const callState = (page) => page.evaluate(() => document.querySelector('web-phone').phone?.activeCall?.state ?? null);
export const phoneState = (page) => page.evaluate(() => document.querySelector('web-phone').phone?.state ?? null);

/** Signs a page in, as a user would. */
export async function signIn(page, user, password = 'any-password') {
  await page.getByLabel('SIP address').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await until(`${user} to be ready`, async () => (await phoneState(page)) === 'ready');
}

let nextUser = 1;
/** An address that nobody else has. */
export const user = (name) => `${name}${nextUser++}-${process.pid}@localhost`;
export const uri = (name) => `sip:${name}`;

/** Opens the phone; nothing in it may go wrong by the end (see `clean`). */
export const open = async ({ browser, url, track }, options) => track(await openPage(browser, `${url}/`, { options }));

/** No violations of the policy, no errors in the console. */
export async function clean(...opened) {
  for (const { faults, violations } of opened) {
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  }
}

export const inCall = (page) => until('the call', async () => (await callState(page)) === 'active');
export const noCall = (page) => until('the end of the call', async () => (await callState(page)) === null);

/** Echo cancellation off: what is measured is the way, not what the browser makes of it. */
export const raw = (page) => page.evaluate(() =>
  document.querySelector('web-phone').phone.audio.set({ echoCancellation: false, noiseSuppression: false, autoGainControl: false }));

/** Two pages, signed in. */
export async function two(kit) {
  const [a, b] = [await open(kit), await open(kit)];
  const [alice, bob] = [user('alice'), user('bob')];
  await signIn(a.page, alice);
  await signIn(b.page, bob);
  return { a, b, alice, bob };
}

/** Two pages, in a call with each other. */
export async function talking(kit) {
  const pages = await two(kit);
  await dial(pages.a.page, uri(pages.bob));
  await pages.b.page.getByRole('button', { name: 'Answer' }).click();
  await Promise.all([inCall(pages.a.page), inCall(pages.b.page)]);
  return pages;
}

export async function dial(page, destination) {
  await page.getByLabel(/^Name or number/).fill(destination);
  await page.getByRole('button', { name: 'Call', exact: true }).click();
}
