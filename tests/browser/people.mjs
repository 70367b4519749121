/** Whoever cannot see the screen, holds no mouse, or is looking at another window. */
import assert from 'node:assert/strict';
import { STRANGER, callState, clean, dial, inCall, noCall, open, openPage, phoneState, signIn, talking, two, until, uri, user } from './rig.mjs';

/** The focused element, as assistive software is told of it. */
async function focused(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  const node = nodes.find(({ properties = [], role }) => role?.value !== 'RootWebArea' && properties.some(({ name, value }) => name === 'focused' && value.value));
  return node ? `${node.role.value} ${node.name?.value ?? ''}`.trim() : '';
}

/** Tab, until the wanted control has the focus. */
async function tabTo(page, wanted) {
  const passed = [];
  for (let n = 0; n < 40; n++) {
    await page.keyboard.press('Tab');
    const here = await focused(page);
    if (wanted.test(here)) return;
    passed.push(here);
  }
  throw new Error(`Tab never came to ${wanted}, but to: ${passed.join(' | ')}`);
}

/** Everything that is announced from now on, in order. */
const attend = (page) => page.evaluate(() => {
  const region = document.querySelector('web-phone').shadowRoot.querySelector('[role="status"][aria-live="polite"]');
  globalThis.announced = [];
  new MutationObserver(() => region.textContent && globalThis.announced.push(region.textContent)).observe(region, { childList: true, characterData: true, subtree: true });
});
const announced = (page, pattern) => until(`"${pattern}" to be announced`, () =>
  page.evaluate(({ source, flags }) => globalThis.announced.some((text) => new RegExp(source, flags).test(text)), { source: pattern.source, flags: pattern.flags }));

export const tests = {
  async 'a call by keyboard alone, from signing in to hanging up'(kit) {
    const phone = await open(kit);
    const { page } = phone;
    await tabTo(page, /^textbox SIP address/);
    await page.keyboard.press('Control+A');
    await page.keyboard.type(user('keys'));
    await tabTo(page, /^button Sign in/);
    await page.keyboard.press('Enter');
    await until('ready', async () => (await phoneState(page)) === 'ready');
    await tabTo(page, /^textbox Name or number/);
    await page.keyboard.type('echo');
    await tabTo(page, /^button Call$/);
    await page.keyboard.press('Space');
    await inCall(page);
    await tabTo(page, /^button Mute/);
    await page.keyboard.press('Space');
    assert.equal(await page.evaluate(() => document.querySelector('web-phone').phone.activeCall.muted), true);
    await tabTo(page, /^button Keypad/);
    await page.keyboard.press('Enter');
    await tabTo(page, /^button Key 5/);
    await page.keyboard.press('Enter');
    await page.getByText('5', { exact: true }).first().waitFor();
    await tabTo(page, /^button Sound/);
    await page.keyboard.press('Enter');
    assert.match(await focused(page), /^button Back/, 'focus goes along to the settings');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Hang up' }).waitFor();
    await tabTo(page, /^button Hang up/);
    await page.keyboard.press('Enter');
    await noCall(page);
    assert.match(await focused(page), /^textbox Name or number/, 'focus comes back to the dial field');
    await clean(phone);
  },

  async 'a screen reader hears every turn of a call, on both sides'(kit) {
    const { a, b, alice, bob } = await two(kit);
    await Promise.all([attend(a.page), attend(b.page)]);
    await dial(a.page, uri(bob));
    await announced(a.page, new RegExp(`Calling.* ${bob.split('@')[0]}`));
    await announced(a.page, /Ringing/);
    await announced(b.page, new RegExp(`Incoming call: ${alice.split('@')[0]}`));
    await until('the focus on Answer', async () => /^button Answer/.test(await focused(b.page)));
    const dialog = b.page.getByRole('alertdialog', { name: new RegExp(`Incoming call ${alice.split('@')[0]}`) });
    await dialog.waitFor();
    await b.page.keyboard.press('Enter');
    await Promise.all([announced(a.page, /In call/), announced(b.page, /In call/)]);
    assert.match(await focused(a.page), /^button Hang up/);
    await a.page.keyboard.press('h');
    await announced(a.page, /On hold/);
    await announced(b.page, /put you on hold/);
    await a.page.keyboard.press('h');
    await inCall(b.page);
    const session = await a.page.context().newCDPSession(a.page);
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    const roles = nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => `${role.value} ${name?.value ?? ''}`);
    for (const there of [/^heading bob/, /^timer Duration/, /^image Quality: \d of 4/, /^button Mute/, /^button Hold/, /^status/]) {
      assert.ok(roles.some((role) => there.test(role)), `${there} in ${roles.join(' | ')}`);
    }
    await a.page.keyboard.press('m');
    const { nodes: later } = await session.send('Accessibility.getFullAXTree');
    const mute = later.find(({ role, name }) => role?.value === 'button' && name?.value === 'Mute');
    assert.equal(mute.properties.find(({ name }) => name === 'pressed').value.value, 'true');
    await b.page.keyboard.press('Escape');
    await announced(a.page, /Call ended after/);
    await clean(a, b);
  },

  async 'whoever looks elsewhere sees a notification and a title that blinks, until the call is taken'(kit) {
    const a = await open(kit);
    const b = kit.track(await openPage(kit.browser, 'about:blank'));
    await b.page.addInitScript(() => {
      Document.prototype.hasFocus = () => false; // as in another window
      globalThis.notices = [];
      const Real = globalThis.Notification;
      globalThis.Notification = class extends Real {
        constructor(title, options) {
          super(title, options);
          globalThis.notices.push(this);
          this.addEventListener('close', () => { this.gone = true; });
        }
        close() {
          this.gone = true;
          super.close();
        }
      };
    });
    await b.page.goto(`${kit.url}/`);
    const [alice, bob] = [user('alice'), user('bob')];
    await signIn(a.page, alice);
    await signIn(b.page, bob);
    const own = await b.page.title();
    const ring = async () => {
      await dial(a.page, uri(bob));
      await b.page.getByRole('alertdialog').waitFor();
    };
    const notices = () => b.page.evaluate(() => globalThis.notices.map(({ title, body, gone }) => ({ title, body, gone: Boolean(gone) })));
    await ring();
    assert.deepEqual(await notices(), [], 'nobody asked for notifications');
    await b.page.keyboard.press('Escape');
    await noCall(a.page);
    await b.page.getByRole('button', { name: 'Settings' }).click();
    await b.page.getByLabel('Notify me of calls').check();
    await b.page.keyboard.press('Escape');
    await ring();
    const name = alice.split('@')[0];
    assert.deepEqual(await notices(), [{ title: 'Incoming call', body: name, gone: false }]);
    const titles = new Set();
    await until('the title to blink', async () => titles.add(await b.page.title()).size === 2);
    assert.deepEqual([...titles].sort(), [`Incoming call: ${name}`, own].sort());
    await b.page.evaluate(() => globalThis.notices[0].onclick());
    assert.equal((await notices())[0].gone, true, 'clicked away');
    await b.page.getByRole('button', { name: 'Answer' }).click();
    await inCall(a.page);
    assert.equal(await b.page.title(), own);
    await b.page.keyboard.press('Escape');
    await noCall(a.page);
    await ring();
    await a.page.keyboard.press('Escape');
    await until('the notice to go with the caller', async () => (await notices()).at(-1).gone && (await b.page.title()) === own);
    await clean(a, b);
  },

  async 'over plain http from elsewhere it is said in words what is missing and what to do'(kit) {
    const { port } = new URL(kit.url);
    const phone = kit.track(await openPage(kit.browser, `http://${STRANGER}:${port}/`, { options: { permissions: [] } }));
    const { page } = phone;
    assert.equal(await page.evaluate(() => globalThis.isSecureContext), false);
    const said = page.getByRole('alert');
    await said.getByText(/Browsers give a microphone only to pages that came over https/).waitFor();
    await said.getByText(/a proxy that has a certificate/).waitFor();
    assert.equal(await page.getByLabel('SIP address').count(), 0, 'no form that leads nowhere');
    await kit.shot(page, '10-insecure');
    await clean(phone);
  },

  async 'keys typed beside the phone, in the host page, are left alone'(kit) {
    const { a, b } = await talking(kit);
    await a.page.evaluate(() => {
      const field = document.createElement('input');
      document.body.prepend(field);
      field.focus();
    });
    await a.page.keyboard.type('mh5');
    await a.page.keyboard.press('Escape');
    assert.equal(await callState(a.page), 'active');
    assert.equal(await a.page.evaluate(() => document.querySelector('input').value), 'mh5');
    assert.equal(await a.page.evaluate(() => document.querySelector('web-phone').phone.activeCall.muted), false);
    await clean(a, b);
  },
};
