/** The core of it in Firefox, by WebDriver BiDi: echo is called, and heard. Firefox needs a sound device: a null sink of PulseAudio. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sleep, until } from './rig.mjs';

const require = createRequire(path.join(process.env.NODE_MODULES ?? '', 'x.js'));
const { default: puppeteer } = await import(require.resolve('puppeteer-core'));

/** A sound server of our own, in a folder of its own. */
async function soundServer() {
  const home = mkdtempSync(path.join(tmpdir(), 'pulse-'));
  const env = { ...process.env, XDG_RUNTIME_DIR: home, HOME: home, PULSE_SERVER: `unix:${home}/native` };
  const child = spawn('pulseaudio', ['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', '-L', 'module-null-sink',
    '-L', `module-native-protocol-unix auth-anonymous=1 socket=${home}/native`], { env, stdio: 'ignore' });
  await sleep(1500);
  return { env, stop: () => child.kill('SIGTERM') };
}

export const tests = {
  async 'Firefox calls echo and hears it'(kit) {
    const sound = await soundServer();
    const browser = await puppeteer.launch({
      browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true, env: sound.env,
      extraPrefsFirefox: { 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true, 'media.autoplay.default': 0 },
    });
    try {
      await callEcho(browser, kit);
    } finally {
      await browser.close();
      sound.stop();
    }
  },
};

async function callEcho(browser, kit) {
  const page = await browser.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(`${kit.url}/`);
  await page.evaluate(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(event.violatedDirective));
  });
  await (await page.waitForSelector('web-phone >>> .try button')).click();
  await until('the call', () => page.evaluate(() => document.querySelector('web-phone').phone?.activeCall?.state === 'active'), 20_000);
  await page.evaluate(() => {
    globalThis.levels = [];
    document.querySelector('web-phone').phone.activeCall.addEventListener('level', (event) => globalThis.levels.push(event.out));
  });
  await sleep(6000);
  const { codec, context, rate, player, loudest, violations } = await page.evaluate(() => {
    const { activeCall, audio } = document.querySelector('web-phone').phone;
    const { state, sampleRate } = audio.context;
    return { codec: activeCall.codec, context: state, rate: sampleRate, player: activeCall.quality.player, loudest: Math.max(...globalThis.levels), violations: globalThis.violations };
  });
  kit.note(`${await browser.version()}, ${rate} Hz, ${codec}, played ${player.played} ms, made up ${player.concealed} ms, target ${Math.round(player.target)} ms`);
  await kit.shot(page, '20-firefox');
  assert.equal(context, 'running');
  assert.ok(player.played > 3000 && player.concealed < player.played / 10);
  assert.ok(loudest > 0.5, `loudest ${loudest}`); // Firefox's own microphone is a tone
  assert.deepEqual(violations, []);
  assert.deepEqual(faults, []);
}
