// A hub for tests: it says only what a test tells it to, also what is wrong. Frames are read and written
// by hand, so that a mistake in the spoke's WebSocket code is not made twice.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Values that arrive and readers that wait for them. */
class Queue {
  #values = [];
  #readers = [];

  put(value) {
    const reader = this.#readers.shift();
    if (reader) reader(value);
    else this.#values.push(value);
  }

  take() {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    return new Promise((resolve) => this.#readers.push(resolve));
  }
}

export class FakeHub {
  #server = http.createServer();
  #connections = new Queue();
  #sockets = new Set();
  /** Answers of upgrade requests that are refused, first in first out: `{status, headers}`. */
  refusals = [];

  /** Starts a hub that ends with the test. */
  static async start(t) {
    const hub = new FakeHub();
    hub.#server.on('upgrade', (request, socket) => hub.#upgrade(request, socket));
    hub.#server.listen(0, '127.0.0.1');
    await once(hub.#server, 'listening');
    t.after(() => hub.close());
    return hub;
  }

  get url() {
    return `ws://127.0.0.1:${this.#server.address().port}/spoke`;
  }

  /** The next connection, before its registration. */
  accept() {
    return this.#connections.take();
  }

  /** The next connection, registered. */
  async register(answer) {
    const connection = await this.accept();
    await connection.register(answer);
    return connection;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #upgrade(request, socket) {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => this.#sockets.delete(socket));
    const refusal = this.refusals.shift();
    if (refusal) {
      const lines = Object.entries({ 'Content-Length': 0, ...refusal.headers }).map(([k, v]) => `${k}: ${v}\r\n`);
      return socket.end(`HTTP/1.1 ${refusal.status} No\r\n${lines.join('')}\r\n`);
    }
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: hubspoke.v1\r\n\r\n`,
    );
    return this.#connections.put(new FakeConnection(request, socket));
  }
}

class FakeConnection {
  #socket;
  #rest = Buffer.alloc(0);
  #frames = new Queue();
  #closes = new Queue();
  #pongs = new Queue();

  constructor(request, socket) {
    this.headers = request.headers;
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('close', () => {
      this.#closes.put({ code: 1006, reason: '' });
      this.#frames.put({ type: 'closed' }); // so that a reader does not wait for ever
    });
  }

  /** The next frame of the spoke: `{type, payload}`. After the last one its type is `closed`. */
  next() {
    return this.#frames.take();
  }

  /** The next frame, which must be of this type; its payload. */
  async expect(type) {
    const frame = await this.next();
    if (frame.type !== type) throw new Error(`got ${JSON.stringify(frame)}, want ${type}`);
    return frame.payload;
  }

  /** The spoke's close frame, or 1006 when the connection ended without one. */
  closed() {
    return this.#closes.take();
  }

  pong() {
    return this.#pongs.take();
  }

  /** Answers the registration, and returns its input. */
  async register(answer = {}) {
    const { requestId, operationId, input } = await this.expect('call.requested');
    if (operationId !== 'hub.register') throw new Error(`first call is ${operationId}`);
    const data = { hubId: 'h', spokeId: input.spokeId ?? 'given', connectionId: 'c', generation: 1, ...answer };
    this.send('call.responded', { requestId, output: { data, meta: { source: 'local' } } });
    return input;
  }

  /** Calls the spoke. The answer is what `next` brings. */
  request(requestId, operationId, input, more = {}) {
    this.send('call.requested', { requestId, operationId, input, ...more });
  }

  send(type, payload) {
    this.write(1, Buffer.from(JSON.stringify({ type, payload })));
  }

  write(opcode, body, { final = true } = {}) {
    const bytes = Buffer.from(body);
    const long = bytes.length > 0xffff ? 8 : bytes.length > 125 ? 2 : 0;
    const head = Buffer.alloc(2 + long);
    head[0] = (final ? 0x80 : 0) | opcode;
    head[1] = long === 8 ? 127 : long === 2 ? 126 : bytes.length;
    if (long === 2) head.writeUInt16BE(bytes.length, 2);
    if (long === 8) head.writeBigUInt64BE(BigInt(bytes.length), 2);
    this.#socket.write(Buffer.concat([head, bytes]));
  }

  /** Writes bytes as they are. */
  writeRaw(bytes) {
    this.#socket.write(bytes);
  }

  close(code, reason = '') {
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.write(8, Buffer.concat([body, Buffer.from(reason)]));
  }

  /** Cuts the connection without a word. */
  cut() {
    this.#socket.destroy();
  }

  #read(chunk) {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let size = this.#frame(); size > 0; size = this.#frame()) this.#rest = this.#rest.subarray(size);
  }

  // Handles the first frame of what has come; its size, or 0 when it is not whole.
  #frame() {
    const b = this.#rest;
    if (b.length < 6) return 0;
    if ((b[1] & 0x80) === 0) throw new Error('a client must mask');
    const short = b[1] & 0x7f;
    const long = short === 127 ? 8 : short === 126 ? 2 : 0;
    if (b.length < 6 + long) return 0;
    const size = long === 8 ? Number(b.readBigUInt64BE(2)) : long === 2 ? b.readUInt16BE(2) : short;
    const start = 6 + long;
    if (b.length < start + size) return 0;
    const body = Buffer.from(b.subarray(start, start + size));
    for (let i = 0; i < size; i++) body[i] ^= b[start - 4 + (i & 3)];
    this.#handle(b[0] & 0x0f, body);
    return start + size;
  }

  #handle(opcode, body) {
    if (opcode === 1) this.#frames.put(JSON.parse(body.toString()));
    if (opcode === 10) this.#pongs.put(body.toString());
    if (opcode !== 8) return;
    this.#closes.put({ code: body.length < 2 ? 1005 : body.readUInt16BE(0), reason: body.subarray(2).toString() });
    this.write(8, body.subarray(0, 2));
    this.#socket.end();
  }
}
