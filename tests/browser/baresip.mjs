/** baresip, a SIP phone, as the tests' other end: registered at the gateway, told what to do and heard over its control socket. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, until } from './rig.mjs';

/** Of the network namespace that tests/in-netns makes; baresip takes no loopback address. */
export const HERE = '198.18.0.1';

const CONFIG = new URL('../interop/baresip.config', import.meta.url);

/**
 * Starts `name@localhost`, which speaks what SPEECH_B holds, records what it hears, and waits to be told to answer.
 * @param {{sip: number}} gateway @param {string} name @param {string} password
 */
export async function startBaresip(gateway, name, password) {
  const folder = mkdtempSync(path.join(tmpdir(), 'baresip-'));
  const [port, control] = [await freePort(HERE), await freePort('127.0.0.1')];
  const rtp = 30_000 + (port % 100) * 20;
  const values = {
    LISTEN: `${HERE}:${port}`, SPEECH: process.env.SPEECH_B, RTP_PORTS: `${rtp}-${rtp + 18}`, MODULES: '/usr/lib/baresip/modules',
    CONTROL: control, FOLDER: `${folder}/`,
  };
  writeFileSync(path.join(folder, 'config'), readFileSync(CONFIG, 'utf8').replace(/@([A-Z_]+)@/g, (_, key) => values[key]));
  writeFileSync(path.join(folder, 'accounts'),
    `<sip:${name}@localhost>;auth_user=${name};auth_pass=${password};outbound="sip:${HERE}:${gateway.sip}";regint=60;answermode=manual;audio_codecs=PCMU\n`);
  writeFileSync(path.join(folder, 'contacts'), '');
  const child = spawn('baresip', ['-f', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { said = (said + data).replace(/ *\[\d+:\d+:\d+\] +audio=\S+ \(bit\/s\)/g, '').slice(-20_000); });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(`baresip: ${said}`, () => said.includes('baresip is ready'));

  const events = [];
  const socket = net.connect(control, '127.0.0.1');
  let rest = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    rest = Buffer.concat([rest, data]);
    for (;;) { // netstrings: LENGTH:JSON,
      const colon = rest.indexOf(':');
      const length = colon < 0 ? NaN : Number(rest.subarray(0, colon));
      if (!(rest.length > colon + 1 + length)) return;
      events.push(JSON.parse(rest.subarray(colon + 1, colon + 1 + length)));
      rest = rest.subarray(colon + 2 + length);
    }
  });
  const phone = {
    log: () => said,
    /** @param {string} command a word of its menu @param {string} [params] */
    tell(command, params = '') {
      const json = JSON.stringify({ command, params, token: 't' });
      socket.write(`${Buffer.byteLength(json)}:${json},`);
    },
    /** Waits for an event of this type whose parameter is like this, and takes it and all before it. @param {string} type @param {RegExp} [param] */
    async expect(type, param = /(?:)/) {
      const match = (event) => event.type === type && param.test(event.param ?? '');
      try {
        await until(type, () => events.some(match));
      } catch {
        throw new Error(`no ${type} ${param}: ${JSON.stringify(events.map(({ type, param }) => [type, param]))}\n${said.slice(-3000)}`);
      }
      return events.splice(0, events.findIndex(match) + 1).at(-1);
    },
    /** Ends the program, which closes its recording: the file of what it heard. */
    async heard() {
      phone.tell('quit');
      await ended;
      const files = readdirSync(folder).filter((file) => file.endsWith('-dec.wav'));
      if (files.length !== 1) throw new Error(`recordings: ${readdirSync(folder)}`);
      return path.join(folder, files[0]);
    },
    stop() {
      socket.destroy();
      child.kill('SIGTERM');
    },
  };
  return phone;
}
