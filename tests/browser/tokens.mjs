/** A page of somebody else's, with `<web-phone>` in it and a server that signs tokens; who may do so, and what the others are told. */
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { callState, compare, dial, listen, openPage, phoneState, signIn, sleep, slowNetwork, startGateway, until } from './rig.mjs';

const SECRET = '0123456789abcdef0123456789abcdef';
const PHONE = path.join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../../web-phone');
const KINDS = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** A token as any web framework makes it. */
function sign(claims, { secret = SECRET, header = {} } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const good = (user, more) => sign({ sub: user, exp: inSeconds(60), ...more });

/** The host page's server: a copy of the phone's files, pages, and tokens for whoever asks. `localhost`, where the gateway is 127.0.0.1. */
async function startHost() {
  const host = { pages: {}, token: () => '', tokens: 0 };
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://host');
    const reply = (status, kind, body) => response.writeHead(status, { 'content-type': kind }).end(body);
    if (host.pages[pathname]) return reply(200, 'text/html', host.pages[pathname]);
    if (pathname === '/token') return reply(200, 'text/plain', (host.tokens++, host.token()));
    if (!pathname.startsWith('/web-phone/') || pathname.includes('..')) return reply(404, 'text/plain', 'nothing');
    try {
      reply(200, KINDS[path.extname(pathname)] ?? 'application/octet-stream', readFileSync(path.join(PHONE, pathname.slice('/web-phone/'.length))));
    } catch {
      reply(404, 'text/plain', 'nothing');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  host.origin = `http://localhost:${server.address().port}`;
  host.stop = () => { server.closeAllConnections(); server.close(); };
  return host;
}

/** A page that makes its phone in script and gives it a function for tokens. */
const byOption = (user, gateway) => `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import '/web-phone/web-phone-element.js';
  const phone = document.createElement('web-phone');
  phone.token = async () => (await fetch('/token')).text();
  phone.setAttribute('user', '${user}');
  phone.setAttribute('gateway', '${gateway}');
  document.body.append(phone);
</script><body>`;

/** A page without a script of its own. */
const byUrl = (user, gateway) => `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/web-phone/web-phone-element.js"></script>
  <web-phone user="${user}" gateway="${gateway}" token-url="/token"></web-phone>`;

const socket = (url) => `${url.replace('http', 'ws')}/rtmp`;
const ready = (page) => until('the phone to be ready', async () => (await phoneState(page)) === 'ready');
const inCall = (page) => until('the call', async () => (await callState(page)) === 'active');
const metric = async (gateway, name) => Number((await fetch(`${gateway.page}/metrics`).then((r) => r.text())).match(new RegExp(`^gateway_${name} (\\d+)$`, 'm'))[1]);

/** A host, and a gateway that trusts its tokens and takes no passwords. */
async function trusting(kit, more = '') {
  const host = await startHost();
  const gateway = await startGateway(`
password-arguments = false
web-origins = ["${host.origin}"]
failed-connects = 0
${more}
[[token-secrets]]
id = "one"
secret = "${SECRET}"
[[token-secrets]]
id = "two"
secret = "another secret of thirty-two bytes"
[[web-accounts]]
address = "alice@localhost"
password = "wonderland"
`);
  kit.track({ context: { close: async () => { host.stop(); gateway.stop(); } } });
  const open = async (place) => kit.track(await openPage(kit.browser, `${host.origin}${place}`));
  return { host, gateway, open };
}

async function hearsItself(kit, page) {
  await dial(page, 'sip:echo@localhost');
  await inCall(page);
  await page.evaluate(() => document.querySelector('web-phone').phone.audio.set({ echoCancellation: false, noiseSuppression: false, autoGainControl: false }));
  await sleep(1500);
  const { likeness, delay } = compare(await listen(page, 5));
  kit.note(`likeness ${likeness.toFixed(2)}, delay ${Math.round(delay)} ms`);
  assert.ok(likeness > 0.6, `likeness ${likeness}`);
}

/** What the server answers to a page's handshake, and what it says in words. */
function handshake(gateway, origin) {
  const { port } = new URL(gateway.page);
  return new Promise((resolve, reject) => {
    const client = net.connect(port, '127.0.0.1', () => client.write(
      `GET /rtmp HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: ${origin}\r\n\r\n`));
    let text = '';
    client.on('error', reject);
    client.on('data', (data) => {
      text += data;
      if (!/\r\n\r\n[^]/.test(text) && text.startsWith('HTTP/1.1 403')) return;
      client.destroy();
      resolve(text);
    });
  });
}

export const tests = {
  async 'a page of another origin signs its user in by a token, and its phone is registered, calls and hears'(kit) {
    const { host, gateway, open } = await trusting(kit);
    host.token = () => good('alice@localhost', { nbf: inSeconds(0), iat: inSeconds(0) });
    host.pages['/'] = byOption('alice@localhost', socket(gateway.page));
    const { page, faults } = await open('/');
    await ready(page);
    await page.getByText('Ready', { exact: true }).first().waitFor();
    assert.equal(await page.evaluate(() => document.querySelector('web-phone').phone.registered), true);
    await hearsItself(kit, page);
    assert.deepEqual(faults, []);
    assert.ok(!gateway.log().includes('wonderland') && !gateway.log().includes(host.token().split('.')[2]), 'no secret in the log');
  },

  async 'tokens by their address are asked for before each connect, so that each may be good once'(kit) {
    const { host, gateway, open } = await trusting(kit);
    host.token = () => sign({ sub: 'alice@localhost', exp: inSeconds(60), jti: randomUUID() }, { secret: 'another secret of thirty-two bytes', header: { kid: 'two' } });
    let network = await slowNetwork(new URL(gateway.page), { delay: 0, jitter: 0 });
    const { port } = new URL(network.url);
    host.pages['/'] = byUrl('alice@localhost', socket(network.url));
    const { page } = await open('/');
    await ready(page);
    assert.equal(host.tokens, 1);
    network.close();
    await until('the loss', async () => (await phoneState(page)) === 'reconnecting');
    network = await slowNetwork(new URL(gateway.page), { delay: 0, jitter: 0, port });
    await ready(page);
    assert.ok(host.tokens >= 2, `${host.tokens} tokens`);
    // The same one again is no good.
    const used = host.token();
    host.token = () => used;
    await page.evaluate(() => document.querySelector('web-phone').phone.disconnect());
    await page.reload();
    await ready(page);
    await page.reload();
    await page.getByText('The server refused: 403 The token has been used before').first().waitFor();
    network.close();
  },

  async 'a token that is not good is refused in words that the page shows'(kit) {
    const { host, gateway, open } = await trusting(kit);
    host.pages['/'] = byOption('alice@localhost', socket(gateway.page));
    const { page } = await open('/');
    for (const [token, words] of [
      [sign({ sub: 'alice@localhost', exp: inSeconds(-60) }), 'The token has expired'],
      [sign({ sub: 'alice@localhost', exp: inSeconds(60) }, { secret: 'a secret that the gateway does not know' }), 'The token is not valid'],
      [sign({ sub: 'alice@localhost', exp: inSeconds(60) }, { header: { alg: 'none' } }), 'The token is not valid'],
      [sign({ sub: 'alice@localhost', exp: inSeconds(60) }, { header: { kid: 'two' } }), 'The token is not valid'],
      [good('alice@localhost', { nbf: inSeconds(30) }), 'The token is not valid yet'],
      [sign({ sub: 'alice@localhost', exp: inSeconds(7200) }), 'The token is good for too long: an hour is allowed'],
      [good('bob@localhost'), 'The token is for another address'],
      [good('alice@localhost', { phone: { tow: ['bob'] } }), 'The token is not valid'],
      ['no token', 'Connect with a token'],
    ]) {
      host.token = () => token;
      await page.reload();
      await page.getByText(`The server refused: 403 ${words}`, { exact: true }).first().waitFor();
      assert.equal(await phoneState(page), 'closed', words);
    }
    host.pages['/bob'] = byOption('bob@localhost', socket(gateway.page));
    host.token = () => good('bob@localhost');
    const bob = await open('/bob');
    await bob.page.getByText(/403 The token's address has no account here/).first().waitFor();
    await kit.shot(bob.page, 'token-refused');
  },

  async 'without password arguments the own page takes no password either, and says so'(kit) {
    const { gateway } = await trusting(kit);
    const { page } = kit.track(await openPage(kit.browser, `${gateway.page}/`));
    await page.getByLabel('SIP address').fill('alice@localhost');
    await page.getByLabel('Password').fill('wonderland');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('The server refused: 403 Connect with a token').first().waitFor();
  },

  async 'a token that names whom to call keeps the phone from calling others'(kit) {
    const { host, gateway, open } = await trusting(kit);
    host.token = () => good('alice@localhost', { phone: { to: ['echo'], calls: 1, seconds: 3 } });
    host.pages['/'] = byOption('alice@localhost', socket(gateway.page));
    const { page } = await open('/');
    await ready(page);
    await dial(page, 'sip:hello@localhost');
    await page.getByText('403 sip:hello@localhost is not allowed').first().waitFor();
    await dial(page, 'echo');
    await inCall(page);
    const begun = Date.now();
    await until('the gateway to hang up', async () => (await callState(page)) === null);
    assert.ok(Math.abs(Date.now() - begun - 3000) < 1000, `after ${Date.now() - begun} ms`);
    await dial(page, 'echo');
    await page.getByText('403 No more calls are allowed').first().waitFor();
  },

  async 'a page of an origin that is not listed is refused at the WebSocket, in words'(kit) {
    const { gateway } = await trusting(kit);
    const stranger = await startHost();
    try {
      stranger.token = () => good('alice@localhost');
      stranger.pages['/'] = byOption('alice@localhost', socket(gateway.page));
      const { page, faults } = kit.track(await openPage(kit.browser, `${stranger.origin}/`));
      await page.getByText(/Connection lost|cannot be reached/).first().waitFor();
      assert.notEqual(await phoneState(page), 'ready');
      // The phone's own socket is a worker's, whose console is not ours to read.
      await page.evaluate((url) => new Promise((resolve) => { new WebSocket(url).onclose = resolve; }), socket(gateway.page));
      await until('what the browser says', () => faults.some((fault) => /WebSocket.*403/.test(fault)));
      assert.ok((await metric(gateway, 'websocket_origins_refused_total')) >= 2);
      const words = await handshake(gateway, stranger.origin);
      assert.match(words, /^HTTP\/1\.1 403 [^]*pages of this origin may not connect here: name it in web-origins/);
    } finally {
      stranger.stop();
    }
  },

  async 'the phone stands in the frames of the pages that may have it, and in no others'(kit) {
    const [host, stranger] = [await startHost(), await startHost()];
    const gateway = await startGateway(`frame-ancestors = ["self", "${host.origin}"]`);
    try {
      for (const site of [host, stranger]) {
        site.pages['/'] = `<!doctype html><link rel="icon" href="data:,"><iframe src="${gateway.page}/" width="400" height="700" allow="microphone; autoplay; speaker-selection; screen-wake-lock"></iframe>`;
      }
      const { page } = kit.track(await openPage(kit.browser, `${host.origin}/`));
      const frame = page.frameLocator('iframe');
      await frame.getByRole('button', { name: /Call echo/ }).click();
      const inside = page.frames().find((one) => one.url().startsWith(gateway.page));
      await until('the call in the frame', async () => (await callState(inside)) === 'active');
      await kit.shot(page, 'framed');
      const other = kit.track(await openPage(kit.browser, `${stranger.origin}/`));
      await until('what the browser says', () => other.faults.some((fault) => fault.includes('frame-ancestors')));
      assert.equal(await other.page.frameLocator('iframe').getByRole('button').count(), 0);
    } finally {
      host.stop();
      stranger.stop();
      gateway.stop();
    }
  },

  async 'who tries too many passwords is told to wait, and a neighbour who was in before is not'(kit) {
    const gateway = await startGateway(`failed-connects = 4\n[[users]]\nname = "alice"\npassword = "right"\n[[users]]\nname = "bob"\npassword = "right"\n`);
    try {
      const open = async () => kit.track(await openPage(kit.browser, `${gateway.page}/`));
      const [alice, bob] = [await open(), await open()];
      await signIn(alice.page, 'alice@localhost', 'right');
      const attempt = async (name, password) => {
        await bob.page.getByLabel('SIP address').fill(`${name}@localhost`);
        await bob.page.getByLabel('Password').fill(password);
        await bob.page.getByRole('button', { name: 'Sign in' }).click();
      };
      await attempt('bob', 'wrong');
      await bob.page.getByText('The server refused: 40').first().waitFor();
      await attempt('bob', 'right');
      await bob.page.getByText(/The server refused: 403 Too many failed attempts: wait \d+ s/).first().waitFor();
      await kit.shot(bob.page, 'too-many-attempts');
      assert.equal(await metric(gateway, 'rtmp_connects_limited_total'), 1);
      await alice.page.reload();
      await ready(alice.page);
    } finally {
      gateway.stop();
    }
  },
};
