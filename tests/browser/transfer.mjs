/** Blind transfer from the page to the end: the far end is a phone that follows (PJSIP), and a third one rings. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { callState, clean, dial, freePort, inCall, listen, loudness, noCall, open, signIn, until, uri, user } from './rig.mjs';

const PYTHON = process.env.PYTHON ?? new URL('../.cache/venv/bin/python', import.meta.url).pathname;

/** An office phone on a port of its own, whose calls go through the gateway's local domain. */
async function officePhone(proxy) {
  const port = await freePort();
  const child = spawn(PYTHON, [new URL('transferee.py', import.meta.url).pathname, String(port), process.env.SPEECH, String(proxy)]);
  let said = '', wrong = '';
  child.stdout.on('data', (data) => { said += data; });
  child.stderr.on('data', (data) => { wrong += data; });
  child.on('error', (error) => { wrong += error.message; });
  const phone = {
    uri: `sip:transferee@127.0.0.1:${port}`,
    says: (pattern) => until(`the office phone to say ${pattern}`, () => {
      if (wrong) throw new Error(`${PYTHON} (tests/run makes it, with pjsua2): ${wrong.slice(-300)}`);
      return pattern.test(said);
    }),
    stop: () => child.kill('SIGTERM'),
  };
  await phone.says(/^ready/m);
  return phone;
}

export const tests = {
  async 'a call is handed over: the far end talks to a third one, and we are out of it'(kit) {
    const office = await officePhone(kit.gateway.sip);
    try {
      const [a, b] = [await open(kit), await open(kit)];
      const bob = user('bob');
      await signIn(a.page, user('alice'));
      await signIn(b.page, bob);
      await dial(a.page, office.uri);
      await inCall(a.page);
      await until('the office phone to be heard', async () => loudness((await listen(a.page, 1)).heard) > 0.01);
      await a.page.getByRole('button', { name: 'Transfer' }).click();
      await a.page.getByLabel('Transfer to').fill(uri(bob));
      await a.page.evaluate(() => {
        globalThis.progress = [];
        document.querySelector('web-phone').phone.activeCall.addEventListener('transfer', ({ status }) => globalThis.progress.push(status));
      });
      await a.page.keyboard.press('Enter');
      await office.says(/^referred/m);
      await b.page.getByRole('alertdialog').waitFor();
      assert.equal(await callState(a.page), 'active', 'not before it is answered');
      await b.page.getByRole('button', { name: 'Answer' }).click();
      await inCall(b.page);
      await noCall(a.page);
      const progress = await a.page.evaluate(() => globalThis.progress);
      kit.note(progress.join(', '));
      assert.equal(progress.at(-1), '200 OK');
      await a.page.getByText(/Call ended after|Handed over/).first().waitFor();
      await until('the office phone to be heard by the third one', async () => loudness((await listen(b.page, 1)).heard) > 0.01);
      assert.equal(await callState(b.page), 'active');
      await b.page.getByRole('button', { name: 'Hang up' }).click();
      await office.says(/^end/m);
      await clean(a, b);
    } finally {
      office.stop();
    }
  },
};
