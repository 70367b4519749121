/** A page of Flash's days, with one script tag added. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { openPage, sleep, until } from './rig.mjs';

const PAGE = readFileSync(new URL('fixtures/old-page.html', import.meta.url), 'utf8');

const open = async ({ browser, url, track }) => track(await openPage(browser, `${url}/old-page.html`, { routes: { '**/old-page.html': PAGE } }));
const log = (page) => page.evaluate(() => globalThis.log);
const said = (page, what) => until(what, async () => (await log(page)).some((line) => what.test(line)));

export const tests = {
  async 'a page written for VideoIO.swf calls echo and is heard, with one script added'(kit) {
    const old = await open(kit);
    const { page } = old;
    await said(page, /created video1/);
    assert.equal(await page.evaluate(() => document.video1 === window.video1 && document.video1.getProperty('rate')), 8, 'flashVars were set');
    await page.getByRole('button', { name: 'set', exact: true }).click();
    await until('the connection', () => page.evaluate(() => /rtmp/.test(document.querySelector('video-io').shadowRoot.textContent)));
    await until('the answer', async () => {
      if ((await log(page)).some((line) => /accepted|rejected/.test(line))) return true;
      await page.getByRole('button', { name: 'invite' }).click();
      await sleep(1000);
      return false;
    });
    await said(page, /callback accepted\(\)/);
    await said(page, /recording=true/);
    await said(page, /playing=true/);
    await until('the level of our voice', () => page.evaluate(() => globalThis.spoken));
    await page.getByRole('button', { name: '5' }).click();
    await page.screenshot({ path: `${process.env.SHOTS ?? '/tmp'}/14-videoio.png` });
    await page.getByRole('button', { name: 'bye' }).click();
    await said(page, /playing=false/);
    kit.note((await log(page)).filter((line) => /callback/.test(line)).join(', '));
    assert.deepEqual(old.faults, []);
  },

  async 'a connection that is refused shows as src becoming null, once'(kit) {
    const { page } = await open(kit);
    await said(page, /created/);
    await page.evaluate(() => document.video1.setProperty('src', 'rtmp://x/nothing/here?arg=a'));
    await said(page, /src=null/);
    await sleep(300);
    assert.equal((await log(page)).filter((line) => line === 'src=null').length, 1);
    assert.equal(await page.evaluate(() => document.video1.getProperty('src')), null);
  },

  async 'what Flash coerced and ignored is coerced and ignored'(kit) {
    const { page } = await open(kit);
    await said(page, /created/);
    const values = await page.evaluate(() => {
      const io = document.video1;
      io.setProperty('nonsense', 1);
      io.setProperty('rate', '16');
      io.setProperty('bidirection', 'true');
      io.setProperty('level', 1);
      io.setProperty('bidirection', '');
      io.callProperty('call', 'invite', 'before connecting');
      return ['nonsense', 'rate', 'bidirection', 'level', 'codec', 'objectEncoding', 'src'].map((name) => io.getProperty(name));
    });
    assert.deepEqual(values, [null, 16, false, 0, 'Speex', 3, null]);
    assert.deepEqual((await log(page)).filter((line) => /bidirection/.test(line)), ['bidirection=true', 'bidirection=false']);
  },
};
