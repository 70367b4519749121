/** The package as others use it: packed, unpacked, served by somebody else's server, and typed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { callState, compare, inCall, listen, openPage, phoneState, raw, startGateway, until } from './rig.mjs';

const PACKAGE = new URL('../../web-phone', import.meta.url).pathname;
const MODULES = process.env.NODE_MODULES ?? '';

/** Packs the package from a copy, for packing writes the declarations, and lays it out as `npm install` would. */
function install() {
  const folder = mkdtempSync(path.join(tmpdir(), 'web-phone-'));
  const source = path.join(folder, 'source');
  cpSync(PACKAGE, source, { recursive: true, filter: (from) => !/\/(node_modules|types|test)$/.test(from) });
  mkdirSync(path.join(source, 'node_modules'));
  cpSync(path.join(MODULES, '@types/audioworklet'), path.join(source, 'node_modules/@types/audioworklet'), { recursive: true });
  const run = (command, args, cwd) => {
    try {
      return execFileSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, PATH: `${path.join(MODULES, '.bin')}:${process.env.PATH}` } });
    } catch (error) {
      throw new Error(`${command} ${args.join(' ')}: ${error.stdout}${error.stderr}`.slice(0, 1500));
    }
  };
  run('npm', ['pack', '--silent'], source);
  const [tarball] = readdirSync(source).filter((name) => name.endsWith('.tgz'));
  const installed = path.join(folder, 'node_modules/rtmp-sip-web-phone');
  mkdirSync(installed, { recursive: true });
  run('tar', ['xzf', path.join(source, tarball), '-C', installed, '--strip-components=1']);
  return { folder, installed, run, remove: () => rmSync(folder, { recursive: true }) };
}

const TYPES = { '.js': 'text/javascript', '.html': 'text/html', '.css': 'text/css', '.wasm': 'application/wasm' };

/** A static server, and a page on it. @param {string} root @param {string} page */
async function serve(root, page) {
  const missing = [];
  const server = http.createServer(({ url }, response) => {
    if (url === '/') return void response.setHeader('content-type', 'text/html').end(page);
    if (url === '/favicon.ico') return void response.writeHead(204).end();
    const file = path.join(root, path.normalize(url.split('?')[0]));
    try {
      const body = readFileSync(file);
      response.setHeader('content-type', TYPES[path.extname(file)] ?? 'application/octet-stream').end(body);
    } catch {
      missing.push(url);
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return { missing, origin: `http://localhost:${port}`, close: () => server.close() };
}

/** What a page writes in TypeScript. */
const CONSUMER = `
import { Phone, PhoneError, type Call, type CallEnd } from 'rtmp-sip-web-phone';
import { NetConnection, type NetStream } from 'rtmp-sip-web-phone/net-connection.js';
import { WebPhoneElement, setStrings } from 'rtmp-sip-web-phone/web-phone-element.js';

const phone = new Phone({ user: 'alice@example.com', token: async () => 'token', audio: { loopback: true } });
phone.addEventListener('state', () => phone.state satisfies string);
const call: Call = phone.call('bob', { signal: AbortSignal.timeout(1000) });
call.answered.catch((error: unknown) => error instanceof PhoneError && error.code.length);
const end: Promise<CallEnd> = call.ended;
end.then(({ by, seconds }) => by === 'missed' && seconds.toFixed(1));
const nc = new NetConnection({ url: 'wss://gateway.example/rtmp' });
nc.connect('rtmp://x/sip/a@b', 'a', 'secret').then((info) => info.code);
const stream: Promise<NetStream> = nc.createStream();
setStrings({ call: 'Anrufen' });
const element: WebPhoneElement = document.createElement('web-phone') as WebPhoneElement;
element.call('echo')?.hangup();
// @ts-expect-error there is no such option
new Phone({ users: 'alice' });
// @ts-expect-error nor such a state
phone.state === 'ringing';
void stream;
`;

export const tests = {
  async 'the package works in a page from another server, and its declarations check'(kit) {
    const { folder, installed, run, remove } = install();
    const names = readdirSync(installed, { recursive: true }).map(String);
    for (const needed of ['phone.js', 'worker.js', 'audio/speex.wasm', 'audio/worklet.js', 'rtmp/uplink.js', 'ui/style.js', 'types/phone.d.ts', 'README.md']) {
      assert.ok(names.includes(needed), `${needed} in ${names.filter((name) => !name.startsWith('types')).join(' ')}`);
    }
    assert.ok(!names.some((name) => /test|node_modules/.test(name)), 'and nothing that is only for us');
    const started = Date.now();
    writeFileSync(path.join(folder, 'consumer.ts'), CONSUMER);
    run('tsc', ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,dom,dom.iterable', '--types', '', 'consumer.ts'], folder);
    kit.note(`declarations check in ${Date.now() - started} ms`);

    const page = `<!doctype html><title>Elsewhere</title><h1>Somebody's page</h1>
      <script type="importmap">{"imports":{"rtmp-sip-web-phone/":"/rtmp-sip-web-phone/"}}</script>
      <script type="module">import 'rtmp-sip-web-phone/web-phone-element.js';</script>`;
    const server = await serve(path.join(folder, 'node_modules'), page);
    const gateway = await startGateway(`web-origins = ["${server.origin}"]\n`);
    try {
      const host = kit.track(await openPage(kit.browser, server.origin));
      const put = (url) => host.page.evaluate((socket) => {
        document.querySelector('web-phone')?.remove();
        const phone = document.createElement('web-phone');
        for (const [name, value] of Object.entries({ gateway: socket, user: 'visitor@localhost', password: 'any' })) phone.setAttribute(name, value);
        document.body.append(phone);
      }, `${url.replace('http', 'ws')}/rtmp`);
      await put(gateway.page);
      await until('the phone to be ready', async () => (await phoneState(host.page)) === 'ready');
      await host.page.getByRole('button', { name: /Call echo/ }).click();
      await inCall(host.page);
      await raw(host.page);
      const { likeness, delay } = compare(await listen(host.page, 4));
      kit.note(`likeness ${likeness.toFixed(2)}, delay ${Math.round(delay)} ms`);
      assert.ok(likeness > 0.6, `likeness ${likeness}`);
      assert.equal(await callState(host.page), 'active');
      assert.deepEqual(server.missing, []);
      assert.deepEqual(host.faults, []);
      await put(kit.url); // a gateway that was not told of this origin
      await until('the refusal to be tried again', async () => (await phoneState(host.page)) === 'reconnecting');
    } finally {
      gateway.stop();
      server.close();
      remove();
    }
  },
};
