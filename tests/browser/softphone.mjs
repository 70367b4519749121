/** The page and baresip, a SIP phone, call each other through the gateway's own registrar. Runs in tests/in-netns. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { HERE, startBaresip } from './baresip.mjs';
import { callState, dial, listen, loudness, openPage, signIn, sleep, startGateway, until } from './rig.mjs';

const ACCOUNTS = ['alice', 'bob'].map((name) => `[[users]]\nname = "${name}"\npassword = "${name}-secret"\n`).join('');

/** Speech through Speex and G.711 keeps 2.75 and more where nothing is lost; wrong law, rate or byte order end below 1.7. */
const LEAST_PESQ = 2.2;

const inCall = (page) => until('the call', async () => (await callState(page)) === 'active');
const noCall = (page) => until('the end of the call', async () => (await callState(page)) === null);

/** alice in the page, bob at baresip. */
async function both(kit) {
  const gateway = await startGateway(ACCOUNTS, HERE);
  kit.track({ context: { close: async () => gateway.stop() } });
  const bob = await startBaresip(gateway, 'bob', 'bob-secret');
  kit.track({ context: { close: async () => bob.stop() } });
  const opened = kit.track(await openPage(kit.browser, `${gateway.page}/`));
  await signIn(opened.page, 'alice@localhost', 'alice-secret');
  await until(`bob to be registered: ${bob.log().slice(-500)}`, () => /200 OK/.test(bob.log()));
  return { bob, gateway, ...opened };
}

/** What the page hears in the next seconds, as a file. */
async function record(page, seconds) {
  const { rate, heard } = await listen(page, seconds);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + heard.length * 2, 4);
  head.write('WAVEfmt ', 8);
  [[16, 4], [1, 2], [1, 2], [rate, 4], [rate * 2, 4], [2, 2], [16, 2]].reduce((at, [value, size]) => head.writeUIntLE(value, at, size), 16);
  head.write('data', 36);
  head.writeUInt32LE(heard.length * 2, 40);
  const body = Buffer.from(Int16Array.from(heard, (x) => Math.round(x * 32767)).buffer);
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'heard-')), 'heard.wav');
  writeFileSync(file, Buffer.concat([head, body]));
  return file;
}

async function judge(kit, what, spoken, heard) {
  const { stdout } = await promisify(execFile)(process.env.PYTHON ?? 'python3', [new URL('judge.py', import.meta.url).pathname, spoken, heard]);
  const score = JSON.parse(stdout);
  kit.note(`${what}: likeness ${score.likeness.toFixed(2)} of ${score.pieces}, PESQ ${score.pesq.toFixed(2)}`);
  assert.ok(score.pieces >= 6 && score.likeness > 0.6 && score.pesq > LEAST_PESQ, `${what}: ${stdout}`);
}

/** Echo cancellation and their like off: they would take the far end's voice for an echo of the fake microphone's. */
const raw = (page) => page.evaluate(() =>
  document.querySelector('web-phone').phone.audio.set({ echoCancellation: false, noiseSuppression: false, autoGainControl: false }));

/** Both talk for some seconds; what each hears is what the other says. */
async function talk(kit, page) {
  await raw(page);
  await sleep(4000); // until the jitter buffer has come down to what it needs
  await judge(kit, 'baresip to page', process.env.SPEECH_B, await record(page, 8));
}

export const tests = {
  async 'the page calls baresip: both hear each other, digits arrive, and the page hangs up'(kit) {
    const { bob, page, faults } = await both(kit);
    await dial(page, 'sip:bob@localhost');
    const { peeruri } = await bob.expect('CALL_INCOMING');
    assert.match(peeruri, /^sip:alice@localhost/);
    await until('ringing', async () => (await callState(page)) === 'ringing');
    bob.tell('accept');
    await inCall(page);
    await bob.expect('CALL_ESTABLISHED');
    await talk(kit, page);
    await kit.shot(page, 'with-baresip');
    await page.getByRole('button', { name: 'Keypad' }).click();
    for (const key of ['4', '2', '#']) {
      await page.keyboard.press(key);
      await bob.expect('CALL_DTMF_START', new RegExp(`^${key}$`));
      await bob.expect('CALL_DTMF_END');
    }
    await page.getByRole('button', { name: 'Hang up' }).click();
    await bob.expect('CALL_CLOSED');
    await noCall(page);
    await judge(kit, 'page to baresip', process.env.SPEECH, await bob.heard());
    assert.deepEqual(faults, []);
  },

  async 'baresip calls the page: both hear each other, and baresip hangs up'(kit) {
    const { bob, page, faults } = await both(kit);
    bob.tell('dial', 'sip:alice@localhost');
    await page.getByRole('alertdialog').waitFor();
    await bob.expect('CALL_RINGING');
    await page.getByText('bob').first().waitFor();
    await page.getByRole('button', { name: 'Answer' }).click();
    await inCall(page);
    await bob.expect('CALL_ESTABLISHED');
    await talk(kit, page);
    bob.tell('hangup');
    await noCall(page);
    await page.getByText(/Call ended after/).first().waitFor();
    await judge(kit, 'page to baresip', process.env.SPEECH, await bob.heard());
    assert.deepEqual(faults, []);
  },

  async 'each puts the other on hold and takes it back'(kit) {
    const { bob, page } = await both(kit);
    await dial(page, 'bob');
    await bob.expect('CALL_INCOMING');
    bob.tell('accept');
    await inCall(page);
    await raw(page);
    await page.getByRole('button', { name: 'Hold' }).click();
    await until('held', async () => (await callState(page)) === 'held');
    await page.getByRole('button', { name: 'Hold' }).click();
    await inCall(page);
    await sleep(500);
    assert.ok(loudness((await listen(page, 3)).heard) > 0.01, 'sound comes back');
    bob.tell('hold');
    await until('held by the other side', async () => (await callState(page)) === 'remote-held');
    await page.getByText('The other side put you on hold').first().waitFor();
    bob.tell('resume');
    await inCall(page);
    await sleep(500);
    assert.ok(loudness((await listen(page, 3)).heard) > 0.01, 'sound comes back');
    await page.keyboard.press('Escape');
    await bob.expect('CALL_CLOSED');
  },

  async 'whom the other side does not want is told so, both ways'(kit) {
    const { bob, page } = await both(kit);
    bob.tell('dial', 'sip:alice@localhost');
    await page.getByRole('button', { name: 'Decline' }).click();
    await bob.expect('CALL_CLOSED', /603 Decline|486/);
    await noCall(page);
    await dial(page, 'bob');
    await bob.expect('CALL_INCOMING');
    bob.tell('hangup');
    await page.getByText(/bob (is busy|declined|is not available)|The call failed/).first().waitFor();
    await noCall(page);
  },

  async 'who gives up before the answer stops the ringing, both ways'(kit) {
    const { bob, page } = await both(kit);
    await dial(page, 'bob');
    await bob.expect('CALL_INCOMING');
    await page.getByRole('button', { name: 'Hang up' }).click();
    await bob.expect('CALL_CLOSED');
    await noCall(page);
    bob.tell('dial', 'sip:alice@localhost');
    await page.getByRole('alertdialog').waitFor();
    bob.tell('hangup');
    await page.getByText('Missed call from bob').first().waitFor();
    await noCall(page);
  },
};
