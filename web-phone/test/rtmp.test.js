import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AmfError, decode, encode } from '../rtmp/amf0.js';
import { ChunkReader, ChunkWriter } from '../rtmp/chunks.js';
import { RtmpSession } from '../rtmp/session.js';
import { Uplink } from '../rtmp/uplink.js';

const bytes = (/** @type {string} */ hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const joined = (/** @type {Uint8Array[]} */ parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

test('AMF0 values come back as they went', () => {
  const values = [null, undefined, true, false, 0, -1.5, 1e300, '', 'käse', 'x'.repeat(70_000), [1, 'two', null],
    { a: 1, b: { c: [true] } }, new Date(86_400_000)];
  assert.deepEqual(decode(encode(values)), values);
});

test('AMF0 is written as the specification has it', () => {
  assert.deepEqual(encode(['hi', 1, null, { a: true }]), bytes('02000268690' + '03ff0000000000000' + '05' + '03000161010100' + '0009'));
});

test('an ECMA array, a typed object and a long string are read', () => {
  assert.deepEqual(decode(bytes('080000000100036b6579020001' + '76000009')), [{ key: 'v' }]);
  assert.deepEqual(decode(bytes('10000141' + '000161' + '05' + '000009')), [{ a: null }]);
  assert.deepEqual(decode(bytes('0c0000000161')), ['a']);
});

test('AMF0 cut at any byte is an AmfError or a shorter list, and never anything else', () => {
  const whole = encode(['invited', 2, null, { from: 'sip:bob@example.com', list: [1, 2] }]);
  for (let cut = 0; cut < whole.length; cut++) {
    try {
      assert.ok(decode(whole.subarray(0, cut)).length < 4);
    } catch (error) {
      assert.ok(error instanceof AmfError, String(error));
    }
  }
});

test('AMF0 that nests without end, or counts without content, is refused', () => {
  assert.throws(() => decode(bytes('0a00000001'.repeat(40))), AmfError);
  assert.throws(() => decode(bytes('0affffffff')), AmfError);
  assert.throws(() => decode(bytes('11')), AmfError);
});

test('a property called __proto__ changes no prototype', () => {
  const [object] = decode(bytes('0300095f5f70726f746f5f5f' + '03' + '000178' + '0101' + '000009' + '000009'));
  assert.equal(Object.getPrototypeOf(object), Object.prototype);
  assert.equal(/** @type {any} */ (object).x, undefined);
});

const audio = (/** @type {number} */ timestamp, /** @type {number} */ length, stream = 1) =>
  ({ type: 8, stream, timestamp, payload: Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff) });

const MESSAGES = [
  { type: 20, stream: 0, timestamp: 0, payload: encode(['connect', 1, { app: 'sip/alice@example.com' }]) },
  audio(20, 53), audio(40, 53), audio(60, 71), audio(50, 71), audio(0xfffffe, 10), audio(0x1000005, 300), audio(0x1000019, 300),
  audio(0xffffffff, 5), audio(10, 5), audio(30, 0), audio(50, 128), audio(70, 129), audio(70, 129, 2),
];

/** @param {number} size */
function written(size) {
  const writer = new ChunkWriter();
  writer.chunkSize = size;
  return joined(MESSAGES.map((message) => writer.write(3 + message.stream, message)));
}

for (const size of [1, 2, 127, 128, 4096]) {
  test(`messages cross chunks of ${size} bytes, whole and cut at every byte`, () => {
    const wire = written(size);
    for (let cut = 0; cut <= wire.length; cut++) {
      const reader = new ChunkReader();
      reader.chunkSize = size;
      const got = [...reader.read(wire.slice(0, cut)), ...reader.read(wire.slice(cut))];
      assert.deepEqual(got, MESSAGES);
    }
  });
}

test('messages arrive byte by byte', () => {
  const reader = new ChunkReader();
  assert.deepEqual([...written(128)].flatMap((byte) => [...reader.read(Uint8Array.of(byte))]), MESSAGES);
});

test('an audio message that follows another has a header of 4 bytes, in one chunk', () => {
  const writer = new ChunkWriter();
  writer.chunkSize = 4096;
  writer.write(4, audio(20, 53));
  assert.equal(writer.write(4, audio(40, 53)).length, 4 + 53);
});

test('chunks of two streams may alternate', () => {
  const writer = new ChunkWriter();
  const a = writer.write(4, audio(0, 200)), b = writer.write(5, audio(0, 200, 2));
  const head = 12 + 128; // then one byte of header and 72 of body
  const wire = joined([a.slice(0, head), b.slice(0, head), a.slice(head), b.slice(head)]);
  assert.deepEqual([...new ChunkReader().read(wire)], [audio(0, 200), audio(0, 200, 2)]);
});

test('format 3 that begins a message repeats the time step of the one before', () => {
  const writer = new ChunkWriter();
  const first = writer.write(4, audio(100, 3)), second = writer.write(4, audio(120, 3));
  const third = joined([Uint8Array.of(0xc4), audio(0, 3).payload]);
  assert.deepEqual([...new ChunkReader().read(joined([first, second, third]))].map((m) => m.timestamp), [100, 120, 140]);
});

test('chunks that break the rules end the connection', () => {
  const rules = ['c4', '440000140000050800', '04000000ffffff0801000000'];
  for (const hex of rules) assert.throws(() => [...new ChunkReader().read(bytes(hex + '00'.repeat(16)))], /RTMP/);
});

/** The gateway's part of the handshake, and what it says afterwards. @param {Uint8Array[]} messages */
function gatewaySays(...messages) {
  const s1 = Uint8Array.from({ length: 1536 }, (_, i) => i & 0xff);
  return joined([Uint8Array.of(3), s1, new Uint8Array(1536), ...messages]);
}

/** A gateway's messages, written by a writer of its own. */
function script() {
  const writer = new ChunkWriter();
  const command = (/** @type {number} */ stream, /** @type {any[]} */ values) =>
    writer.write(3 + stream, { type: 20, stream, timestamp: 0, payload: encode(values) });
  const control = (/** @type {number} */ type, /** @type {string} */ hex) =>
    writer.write(2, { type, stream: 0, timestamp: 0, payload: bytes(hex) });
  const parts = [
    control(5, '00000200'), control(6, '0000020002'),
    command(0, ['_result', 1, null, { code: 'NetConnection.Connect.Success', level: 'status' }]),
    control(4, '0006000004d2'),
    command(0, ['invited', 2, null, 'sip:bob@example.com', 'sip:alice@example.com']),
    command(0, ['_error', 7, null, { description: 'no method' }]),
    control(1, '00001000'),
  ];
  writer.chunkSize = 4096;
  parts.push(command(1, ['onStatus', 0, null, { code: 'NetStream.Play.Start' }]),
    writer.write(4, { type: 8, stream: 1, timestamp: 1000, payload: new Uint8Array(600).fill(0xb2) }), control(4, '0007000000ff'));
  return gatewaySays(...parts);
}

const EXPECTED = ['open', 'answer', 'invoke', 'answer', 'status', 'audio', 'pong'];

test('a session understands a gateway whose bytes are cut anywhere', () => {
  const wire = script();
  for (let cut = 0; cut <= wire.length; cut++) {
    const session = new RtmpSession();
    session.start();
    const events = [...session.receive(wire.slice(0, cut)), ...session.receive(wire.slice(cut))];
    assert.deepEqual(events.map((event) => event.type), EXPECTED, `cut at ${cut}`);
  }
});

test('a session understands a gateway byte by byte, and answers as one should', () => {
  const session = new RtmpSession();
  session.start();
  const wire = script();
  const events = [...wire].flatMap((byte) => session.receive(Uint8Array.of(byte)));
  assert.deepEqual(events.map((event) => event.type), EXPECTED);
  assert.deepEqual(events[2], { type: 'invoke', name: 'invited', id: 2, args: ['sip:bob@example.com', 'sip:alice@example.com'] });

  const sent = joined(session.take());
  assert.equal(sent[0], 3);
  assert.deepEqual(sent.slice(1537, 3073), wire.slice(1, 1537), 'C2 repeats S1');
  const reader = new ChunkReader();
  const messages = [];
  for (const message of reader.read(sent.slice(3073))) {
    if (message.type === 1) reader.chunkSize = 4096;
    messages.push(message);
  }
  assert.deepEqual(messages[0].payload, bytes('00001000'), 'chunk size 4096');
  const pong = messages.find((message) => message.type === 4);
  assert.deepEqual(pong?.payload, bytes('0007000004d2'), 'the ping is answered');
  assert.ok(messages.some((message) => message.type === 3), 'windows are acknowledged');
  assert.deepEqual(messages.filter((m) => m.type === 20).map((m) => decode(m.payload)), [['_result', 2, null]]);
});

test('what is no RTMP is refused at its first byte', () => {
  assert.throws(() => new RtmpSession().receive(new TextEncoder().encode('HTTP/1.1 404 Not Found')), /version 72/);
});

test('what is sent is late when a ping is out for longer than pings ever took, and not before a first answer', () => {
  const uplink = new Uplink();
  assert.ok(uplink.due(0));
  uplink.pinged(0);
  assert.ok(!uplink.due(10_000) && !uplink.late(10_000), 'a gateway that answers no pings');
  uplink.answered(120);
  assert.ok(!uplink.due(400) && uplink.due(500));
  uplink.pinged(500);
  assert.ok(!uplink.late(900) && uplink.late(930), 'beyond 120 + 300 ms');
  uplink.pinged(5500);
  assert.ok(uplink.late(5501), 'another ping does not make it forget the first');
  uplink.answered(6000);
  assert.ok(!uplink.late(6500) && uplink.trip === 6000);
});

test('only the round trips of the last half minute count', () => {
  const uplink = new Uplink();
  uplink.answered(10);
  for (let n = 0; n < 60; n++) uplink.answered(400);
  uplink.pinged(0);
  assert.ok(!uplink.late(600) && uplink.late(701));
});
