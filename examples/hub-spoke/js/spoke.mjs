// A spoke in JavaScript: one file, no dependencies, written from the protocol page alone. It runs in
// browsers and in Node 20 and newer. It does without sessions: a lost connection ends the calls on it.
//
//   const spoke = new Spoke('wss://hub.example.com/spoke', { id: 'js-1', token });
//   spoke.handle('text.upper', { type: 'query' }, async ({ text }) => text.toUpperCase());
//   await spoke.run(); // until stop(), or until the hub refuses the spoke
//
// Run directly, it is a worker:  node spoke.mjs ws://127.0.0.1:8080/spoke --id js-1 --token SECRET

const PROTOCOL = 'hubspoke.v1';
const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE_MARGIN = 64 * KIB; // what a message may be over the announced size before the connection closes
const SEND_PAUSE = 1 * MIB; // waiting on the socket: streams pause here
const SEND_LIMIT = 8 * MIB; // and here new calls and events are refused
const CALL_TIMEOUT = 30_000;
const STREAM_CREDIT = 16;
const LEFT = 4008; // the close code of a spoke that leaves permanently: no proxy sends it
const DIAL_TIMEOUT = 10_000; // for the connection and the registration together
const CLOSE_TIMEOUT = 3_000;
const STEADY = 10_000; // registered this long, the next loss restarts its backoff
const HEARTBEAT = { interval: 25_000, timeout: 10_000 };
const LOOK = 1_000; // how often to look whether the platform writes
const SLOWEST = 16; // bytes per ms of the slowest link that timeouts of whole messages allow for
const MAX_DEPTH = 256; // of a value, unless a side announces another limit
const DEEPEST = 9_900; // what can be announced
const FRAME_DEPTH = 10_000; // a frame that is deeper closes the connection
const MAX_RETRY_AFTER = 120_000;
const REFUSED_TOKENS = 3; // this many different tokens refused,
const REFUSED_TIME = 30_000; // the first of them this long ago, make a refusal final
const BACKOFF = { min: 200, max: 20_000 };
const RETRYABLE = new Set(['OPERATION_NOT_FOUND', 'SPOKE_NOT_FOUND', 'OVERLOADED', 'UNAVAILABLE', 'DISCONNECTED']);

const utf8 = new TextEncoder();
const byteLength = (text) => utf8.encode(text).length;
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value) => Number.isInteger(value) && value >= 0;
// Timers take at most 2^31 - 1 ms; what is longer would fire at once.
const after = (ms, fn) => setTimeout(fn, Math.min(Math.max(ms, 0), 2 ** 31 - 1));

// Returns true for a value that is nested deeper than the limit. A scalar has depth 0, [] and {} have depth 1.
function isDeeper(value, limit) {
  let level = [value];
  for (let depth = 0; depth <= limit; depth++) {
    const open = level.map((v) => (typeof v?.toJSON === 'function' ? v.toJSON() : v)).filter((v) => typeof v === 'object' && v !== null);
    if (open.length === 0) return false;
    level = open.flatMap((v) => Object.values(v));
  }
  return true;
}

// Cuts a text for people and marks the cut.
function cut(text, limit) {
  return text.length > limit ? `${text.slice(0, limit)}… (cut, ${byteLength(text)} bytes in all)` : text;
}

// ---- Errors ------------------------------------------------------------------------------------

/** An error of the call protocol. `sent` is false if the handler's own code cannot have run. */
export class CallError extends Error {
  constructor(code, message, { retryable = RETRYABLE.has(code), details = {}, sent = true, cause } = {}) {
    super(message || code, cause === undefined ? undefined : { cause });
    this.name = 'CallError';
    this.code = code;
    this.retryable = retryable;
    this.details = details;
    this.sent = sent;
  }
}

/** Why run() ended without a call of stop(): the hub has refused this spoke. */
export class StoppedError extends Error {
  constructor(code, reason, cause) {
    super(`the hub says stop: ${code} ${reason}`.trim(), cause === undefined ? undefined : { cause });
    this.name = 'StoppedError';
    this.code = code;
  }
}

/** Returned by a handler that builds the envelope of its output itself. */
export class Envelope {
  constructor(data, meta) {
    this.data = data;
    this.meta = meta;
  }
}

const failure = (code, message, sent, cause) => new CallError(code, message, { sent, cause });

// What is wrong with the bytes of the other side, and the close code for it.
class ProtocolError extends Error {
  constructor(closeCode, message) {
    super(message);
    this.closeCode = closeCode;
  }
}

// ---- Frames ------------------------------------------------------------------------------------

function isType(type) {
  return typeof type === 'string' && type !== '' && byteLength(type) <= 256 && !/\p{Cc}/u.test(type);
}

// There are no wildcards: no segment of a topic is exactly * or >.
function isTopic(type) {
  return isType(type) && !type.split(/[.:]/).some((segment) => segment === '*' || segment === '>');
}

// Reads one message. `twice` says that the payload names a member twice, which JSON.parse hides.
function decodeFrame(text) {
  let frame;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new ProtocolError(1007, 'not JSON');
  }
  if (!isObject(frame) || !isType(frame.type)) throw new ProtocolError(1007, 'not a frame');
  const twice = findTwice(text);
  if (twice.frame) throw new ProtocolError(1007, 'a member is named twice');
  return { type: frame.type, payload: frame.payload ?? null, twice: twice.payload };
}

// Walks over JSON that is known to be valid and compares the names of the two levels that the protocol defines.
function findTwice(text) {
  const twice = { frame: false, payload: false };
  const names = { frame: new Set(), payload: new Set() };
  const open = []; // the brackets around the current place
  let member = '';
  let atName = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const end = stringEnd(text, i);
      if (atName && (open.length === 1 || (open.length === 2 && member === 'payload'))) {
        const level = open.length === 1 ? 'frame' : 'payload';
        const name = JSON.parse(text.slice(i, end + 1));
        if (names[level].has(name)) twice[level] = true;
        names[level].add(name);
        if (level === 'frame') member = name;
      }
      atName = false;
      i = end;
    } else if (c === '{' || c === '[') {
      open.push(c);
      if (open.length > FRAME_DEPTH) throw new ProtocolError(1007, 'nested too deeply');
      atName = c === '{';
    } else if (c === '}' || c === ']') {
      open.pop();
    } else if (c === ',') {
      atName = open.at(-1) === '{';
    }
  }
  return twice;
}

function stringEnd(text, start) {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return end;
  }
}

const REQUEST_MEMBERS = {
  operationId: (v) => typeof v === 'string' && v !== '',
  stream: (v) => typeof v === 'boolean',
  credit: isCount,
  to: (v) => typeof v === 'string',
  selector: isObject,
  timeout: Number.isInteger,
  deadline: Number.isInteger,
  idleTimeout: isCount,
  originId: (v) => typeof v === 'string',
  parentRequestId: (v) => typeof v === 'string',
  identity: isObject,
  metadata: isObject,
  failFast: (v) => typeof v === 'boolean',
};

// The first member of a request that is of the wrong kind, or null.
function wrongMember(request) {
  if (request.operationId === undefined) return 'operationId';
  for (const [name, isRight] of Object.entries(REQUEST_MEMBERS)) {
    if (request[name] !== undefined && !isRight(request[name])) return name;
  }
  return null;
}

const isRequestId = (id) => typeof id === 'string' && id !== '' && byteLength(id) <= 128;

// What a caller gets of an output: the data of an envelope, or the bare value.
function openEnvelope(output) {
  const wrapped = isObject(output) && 'data' in output && isObject(output.meta) && typeof output.meta.source === 'string';
  return wrapped ? output.data : output;
}

function wrapOutput(value, operationId) {
  if (value instanceof Envelope) return { data: value.data ?? null, meta: value.meta };
  return { data: value ?? null, meta: { source: 'local', operationId, timestamp: Date.now() } };
}

const isCode = (code) => typeof code === 'string' && /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(code);

// `sent` belongs to the protocol and is not shown among the details.
function readError({ code, message, retryable, details }, maxDepth = DEEPEST) {
  const { sent, ...rest } = isObject(details) ? details : {};
  if (isDeeper(details, maxDepth)) return failure('EXECUTION_ERROR', depthText('details of the error', maxDepth), sent !== false);
  return new CallError(isCode(code) ? code : 'EXECUTION_ERROR', typeof message === 'string' ? message : '', {
    retryable: retryable === true,
    details: rest,
    sent: sent !== false,
  });
}

const depthText = (what, limit) => `the ${what} is nested deeper than ${limit} levels`;

// The payload for an error that a handler threw, or for a refusal before it ran. The stack stays here.
function writeError(error, sent) {
  const own = error instanceof CallError && isCode(error.code);
  return {
    code: own ? error.code : 'EXECUTION_ERROR',
    message: cut(String(error?.message ?? error), KIB),
    retryable: own && error.retryable,
    details: own ? { ...error.details, sent } : { sent },
  };
}

// ---- Sockets -----------------------------------------------------------------------------------
// Both kinds take `events` {open, message, activity, close} and have send, close, destroy, waiting (the bytes that wait
// to be written) and isBlind (true if the bytes of an unfinished message cannot be seen).

// The WebSocket of the platform, which cannot set headers and may close with few codes only.
class PlatformSocket {
  isBlind = true;
  #ws;

  constructor(WebSocket, url, { protocols, events }) {
    this.#ws = new WebSocket(url, protocols);
    this.#ws.binaryType = 'arraybuffer';
    let opened = false;
    this.#ws.onopen = () => {
      opened = true;
      events.open();
    };
    this.#ws.onmessage = ({ data }) => events.message(data);
    // A close with its code follows, but not on every platform, so the wait for it is bounded.
    this.#ws.onerror = () => {
      after(opened ? CLOSE_TIMEOUT : 0, () => events.close({ code: 1006, reason: opened ? '' : 'no connection' }));
    };
    this.#ws.onclose = ({ code, reason }) => events.close({ code, reason });
  }

  get waiting() {
    return this.#ws.bufferedAmount;
  }

  send(text) {
    this.#ws.send(text);
  }

  close(code, reason) {
    // Browsers refuse 1001 to 2999 from a script, so those go out as 3001 and so on.
    this.#ws.close(code > 1000 && code < 3000 ? code + 2000 : code, reason);
  }

  destroy() {
    this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null;
    this.#ws.close();
  }
}

const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

// A WebSocket client for Node, where the platform has none (RFC 6455, no extensions).
class NodeSocket {
  isBlind = false;
  #node;
  #events;
  #limit;
  #request;
  #socket = null;
  #chunks = [];
  #have = 0;
  #parser;
  #need;
  #message = null; // {opcode, parts, size} of a fragmented message
  #closing = false; // our close frame is out
  #end = { code: 1006, reason: '' };
  #done = false;

  constructor(node, url, { protocols, token, limit, events }) {
    this.#node = node;
    this.#events = events;
    this.#limit = limit;
    this.#parser = this.#parse();
    this.#need = this.#parser.next().value;
    const key = node.crypto.randomBytes(16).toString('base64');
    const target = new URL(url);
    target.protocol = target.protocol.replace('ws', 'http');
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': key,
      'Sec-WebSocket-Protocol': protocols.join(', '),
      // Node writes each character of a header as one byte.
      ...(token ? { Authorization: `Bearer ${Buffer.from(token).toString('latin1')}` } : {}),
    };
    const request = (target.protocol === 'https:' ? node.https : node.http).request(target, { headers, agent: false });
    request.on('error', (error) => this.#finish({ code: 1006, reason: error.message }));
    request.on('response', (response) => this.#refused(response));
    request.on('upgrade', (response, socket, head) => this.#upgraded(response, socket, head, key, protocols));
    request.end();
    this.#request = request;
  }

  get waiting() {
    return this.#socket?.writableLength ?? 0;
  }

  send(text) {
    if (!this.#closing) this.#write(OP.text, Buffer.from(text));
  }

  close(code = 1000, reason = '') {
    if (!this.#socket) return this.destroy();
    if (this.#closing) return;
    const body = Buffer.concat([Buffer.alloc(2), Buffer.from(reason).subarray(0, 120)]);
    body.writeUInt16BE(code);
    this.#write(OP.close, body);
    this.#closing = true;
    this.#end = { code, reason };
    after(CLOSE_TIMEOUT, () => this.destroy()).unref();
  }

  destroy() {
    this.#request.destroy();
    this.#socket?.destroy();
    this.#finish(this.#end);
  }

  #refused(response) {
    response.resume();
    this.#request.destroy();
    const { 'retry-after': later, 'hubspoke-refused': refused } = response.headers;
    this.#finish({
      code: 1006, reason: `HTTP ${response.statusCode}`, status: response.statusCode,
      retryAfter: readRetryAfter(later), refused: [401, 403].includes(response.statusCode) ? refused : undefined,
    });
  }

  #upgraded(response, socket, head, key, protocols) {
    const accept = this.#node.crypto.createHash('sha1').update(key + WEBSOCKET_GUID).digest('base64');
    const protocol = response.headers['sec-websocket-protocol'];
    this.#socket = socket;
    socket.on('error', () => {}); // a close follows
    socket.on('close', () => this.#finish(this.#end));
    socket.on('end', () => socket.end());
    if (this.#done || response.headers['sec-websocket-accept'] !== accept || (protocol && !protocols.includes(protocol))) {
      this.#end = { code: 1006, reason: 'the handshake is not the answer to ours' };
      return socket.destroy();
    }
    socket.setNoDelay(true);
    socket.setTimeout(0);
    if (head.length > 0) socket.unshift(head);
    socket.on('data', (chunk) => this.#receive(chunk));
    this.#events.open();
  }

  #receive(chunk) {
    this.#events.activity();
    if (this.#need === Infinity) return;
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    try {
      while (!this.#done && this.#need <= this.#have) this.#need = this.#parser.next(this.#take(this.#need)).value;
    } catch (error) {
      this.#need = Infinity; // nothing that follows can be understood
      this.close(error.closeCode ?? 1002, error.message);
    }
  }

  #take(size) {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = all.length > size ? [all.subarray(size)] : [];
    this.#have -= size;
    return all.subarray(0, size);
  }

  // Yields how many bytes it needs next and is given them.
  *#parse() {
    for (;;) {
      const head = yield 2;
      const opcode = head[0] & 0x0f;
      if (head[0] & 0x70 || head[1] & 0x80) throw new ProtocolError(1002, 'bad frame header');
      let size = head[1] & 0x7f;
      if (size === 126) size = (yield 2).readUInt16BE(0);
      else if (size === 127) size = Number((yield 8).readBigUInt64BE(0));
      this.#frame(opcode, (head[0] & 0x80) !== 0, this.#allow(opcode, size) ? yield size : Buffer.alloc(0));
    }
  }

  // Checks a size before any of its bytes is kept.
  #allow(opcode, size) {
    if (opcode >= OP.close && size > 125) throw new ProtocolError(1002, 'control frame too long');
    if ((this.#message?.size ?? 0) + size > this.#limit) throw new ProtocolError(1009, 'message too big');
    return size > 0;
  }

  #frame(opcode, final, body) {
    if (opcode >= OP.close) {
      if (!final) throw new ProtocolError(1002, 'control frame in parts');
      return this.#control(opcode, body);
    }
    if (opcode > OP.binary || (opcode === OP.continuation) !== (this.#message !== null)) {
      throw new ProtocolError(1002, 'frame out of order');
    }
    this.#message ??= { opcode, parts: [], size: 0 };
    this.#message.parts.push(body);
    this.#message.size += body.length;
    if (!final) return undefined;
    const { opcode: kind, parts } = this.#message;
    this.#message = null;
    const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    return this.#closing ? undefined : this.#events.message(kind === OP.text ? decodeText(whole) : whole);
  }

  #control(opcode, body) {
    if (opcode === OP.ping && !this.#closing) this.#write(OP.pong, body);
    if (opcode !== OP.close) return;
    if (body.length === 1) throw new ProtocolError(1002, 'bad close frame');
    const code = body.length === 0 ? 1005 : body.readUInt16BE(0);
    const reason = decodeText(body.subarray(2));
    // The side that closes first says why; the answer to our own close says nothing new.
    if (!this.#closing) {
      this.#write(OP.close, body.subarray(0, 2));
      this.#closing = true;
      this.#end = { code, reason };
    }
    this.#socket.end();
    after(CLOSE_TIMEOUT, () => this.destroy()).unref();
    this.#finish(this.#end);
  }

  #write(opcode, body) {
    const long = body.length > 0xffff ? 8 : body.length > 125 ? 2 : 0;
    const frame = Buffer.allocUnsafe(6 + long + body.length);
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (long === 8 ? 127 : long === 2 ? 126 : body.length);
    if (long === 2) frame.writeUInt16BE(body.length, 2);
    if (long === 8) frame.writeBigUInt64BE(BigInt(body.length), 2);
    const start = 6 + long;
    const mask = this.#node.crypto.randomBytes(4);
    mask.copy(frame, 2 + long);
    for (let i = 0; i < body.length; i++) frame[start + i] = body[i] ^ mask[i & 3];
    // All frames of one turn of the event loop leave in one system call.
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
    this.#socket.write(frame);
  }

  #finish(end) {
    if (this.#done) return;
    this.#done = true;
    this.#events.close(end);
  }
}

const strictUTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(bytes) {
  try {
    return strictUTF8.decode(bytes);
  } catch {
    throw new ProtocolError(1007, 'not UTF-8');
  }
}

// Retry-After is in seconds or a date; the answer is in milliseconds.
function readRetryAfter(value) {
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

function base64url(text) {
  const binary = Array.from(utf8.encode(text), (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

async function openSocket(url, { token, limit, events, WebSocket = globalThis.WebSocket }) {
  if (WebSocket) {
    // A second offered protocol carries the token, since a browser cannot send a header.
    const protocols = token ? [PROTOCOL, `hubspoke.bearer.${base64url(token)}`] : [PROTOCOL];
    return new PlatformSocket(WebSocket, url, { protocols, events });
  }
  const [http, https, crypto] = await Promise.all([import('node:http'), import('node:https'), import('node:crypto')]);
  return new NodeSocket({ http, https, crypto }, url, { protocols: [PROTOCOL], token, limit, events });
}

// ---- Calls -------------------------------------------------------------------------------------

// A call that the other side made: what its handler and its frames share.
class Incoming {
  #controller = new AbortController();
  #timer;
  #wake = () => {};

  constructor(request, operation) {
    this.id = request.requestId;
    this.operation = operation;
    this.stream = request.stream ?? operation.streams;
    // A caller that gives no credit takes all.
    this.credit = request.credit ?? Infinity;
    this.ends = performance.now() + timeLeft(request);
    if (this.ends < Infinity) {
      this.#timer = after(this.left, () => this.stop(failure('TIMEOUT', 'the time was up', true)));
    }
  }

  get signal() {
    return this.#controller.signal;
  }

  get left() {
    return this.ends - performance.now();
  }

  give(credit) {
    this.credit += credit;
    this.#wake();
  }

  // Waits until one response may go out.
  async take() {
    while (this.credit < 1 && !this.signal.aborted) await new Promise((resolve) => (this.#wake = resolve));
    this.signal.throwIfAborted();
    this.credit--;
  }

  stop(error) {
    this.#controller.abort(error);
    this.#wake();
  }

  done() {
    clearTimeout(this.#timer);
  }
}

// `timeout` wins over `deadline`, since clocks differ.
function timeLeft({ timeout, deadline }) {
  return timeout ?? (deadline === undefined ? Infinity : deadline - Date.now());
}

// A call that we made. It ends once, and whoever waits is told at once, whatever the other side does.
class Outgoing {
  #connection;
  #receiver;
  #timer;
  #signal;
  #ended = false;

  constructor(connection, id, unary, receiver) {
    this.#connection = connection;
    this.id = id;
    this.unary = unary;
    this.#receiver = receiver;
  }

  watch(timeout, signal) {
    if (timeout < Infinity) {
      this.#timer = after(timeout, () => this.cancel(failure('TIMEOUT', 'the time was up', true)));
    }
    this.#signal = signal;
    signal?.addEventListener('abort', this.#aborted);
  }

  #aborted = () => this.cancel(failure('ABORTED', 'the caller canceled', true, this.#signal.reason));

  response(data) {
    if (this.#ended) return;
    this.#receiver.response(data);
    if (this.unary) this.end(null);
  }

  // Ends the call for an answer that cannot be taken. A stream would send more.
  reject(message) {
    const error = failure('EXECUTION_ERROR', message, true);
    if (this.unary) this.end(error);
    else this.cancel(error);
  }

  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#connection.forget(this.id);
    this.#receiver.end(error);
  }

  cancel(error) {
    if (this.#ended) return;
    this.#connection.send('call.aborted', { requestId: this.id, reason: error.message });
    this.end(error);
  }
}

// What stream() returns: an async iterator over at most `window` responses that wait to be read.
class ResponseStream {
  #window;
  #granted;
  #values = [];
  #readers = [];
  #ended = false;
  #error = null;
  #grant = () => {};
  #cancel = () => {};
  #idleTimeout;
  #idleTimer;

  constructor({ credit = STREAM_CREDIT, idleTimeout = Infinity }) {
    this.#window = this.#granted = credit;
    this.#idleTimeout = idleTimeout;
  }

  attach({ grant, cancel }) {
    this.#grant = grant;
    this.#cancel = cancel;
    this.#watchIdle();
  }

  response(value) {
    if (this.#granted === 0) return this.#cancel(failure('SLOW_CONSUMER', 'more responses than credit', true));
    this.#granted--;
    this.#values.push(value);
    this.#watchIdle();
    this.#wake();
  }

  end(error) {
    this.#ended = true;
    this.#error = error;
    clearTimeout(this.#idleTimer);
    this.#wake();
  }

  async next() {
    while (this.#values.length === 0 && !this.#ended) await new Promise((resolve) => this.#readers.push(resolve));
    if (this.#values.length > 0) return { value: this.#read(), done: false };
    const error = this.#error;
    this.#error = null;
    if (error) throw error;
    return { value: undefined, done: true };
  }

  // Credit goes back in halves of the window: a frame for each response would double the traffic.
  #read() {
    const value = this.#values.shift();
    const free = this.#window - this.#granted - this.#values.length;
    if (!this.#ended && free * 2 >= this.#window) {
      this.#granted += free;
      this.#grant(free);
    }
    return value;
  }

  async return() {
    this.#values = [];
    this.#cancel(failure('ABORTED', 'the reader left', true));
    this.#error = null;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  #wake() {
    for (const resolve of this.#readers.splice(0)) resolve();
  }

  #watchIdle() {
    clearTimeout(this.#idleTimer);
    if (this.#idleTimeout === Infinity || this.#ended) return;
    this.#idleTimer = after(this.#idleTimeout, () => {
      // A reader that is behind is not the handler's fault.
      if (this.#values.length > 0) return this.#watchIdle();
      return this.#cancel(failure('TIMEOUT', 'no response within idleTimeout', true));
    });
  }
}

// ---- One connection ----------------------------------------------------------------------------

// What lives and ends with one WebSocket. `host` is the spoke's side of it.
class Connection {
  #host;
  #socket = null;
  #in = new Map();
  #out = new Map();
  #idPrefix = `${randomHex(4)}-`;
  #lastId = 0;
  #hubLimit = MIB; // until the hub announces another
  #hubDepth = MAX_DEPTH;
  #heard = 0;
  #sent = 0;
  #waited = 0; // how many bytes waited to be written when the heartbeat last looked
  #timers = { dial: undefined, beat: undefined, close: undefined };
  #dialed = 0;
  #registeredAt = Infinity;
  #refusal; // the call.error that came before a close
  #retryAfter = 0;
  #closing = false;
  #ended = false;
  #resolve;
  #onIdle = () => {};

  constructor(host) {
    this.#host = host;
  }

  /** Dials, serves, and says how it ended. It never fails. */
  run(url, token) {
    this.#dialed = performance.now();
    this.#registerWithin(DIAL_TIMEOUT);
    this.#dial(url, token).catch((error) => this.#finish({ code: 1006, reason: error.message }));
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  // Limits the time from the dial to the registration's answer.
  #registerWithin(timeout) {
    clearTimeout(this.#timers.dial);
    const left = this.#dialed + timeout - performance.now();
    this.#timers.dial = after(left, () => this.close(4000, 'no registration in time'));
  }

  async #dial(url, token) {
    const { maxMessageBytes, WebSocket } = this.#host.options;
    const events = {
      open: () => this.#opened(),
      activity: () => (this.#heard = performance.now()),
      message: (data) => this.#message(data),
      close: (end) => this.#finish(end),
    };
    if (this.#ended) return;
    this.#socket = await openSocket(url, { token, limit: maxMessageBytes + SIZE_MARGIN, events, WebSocket });
    if (this.#ended) this.#socket.destroy();
  }

  #opened() {
    if (this.#ended) return;
    this.#heard = performance.now();
    this.register();
  }

  /** The first frame of a connection; later it replaces operations and labels. */
  register() {
    const again = this.#registeredAt < Infinity;
    let answer = null;
    const receiver = {
      response: (data) => (answer = isObject(data) ? data : {}),
      end: (error) => {
        if (answer && !again) return this.#registered(answer);
        if (error && !again && !this.#ended) this.#refusal = error; // the hub closes next
        else if (error && again) this.#host.log.error('registering again was refused', error);
        return undefined;
      },
    };
    try {
      const registration = this.#host.registration();
      if (!again) this.#registerWithin(DIAL_TIMEOUT + byteLength(JSON.stringify(registration)) / SLOWEST);
      this.#request('hub.register', registration, { stream: false }, receiver);
    } catch (error) {
      this.#refusal = error;
      this.close(1000, 'the registration cannot be sent');
    }
  }

  #registered(info) {
    clearTimeout(this.#timers.dial);
    this.#registeredAt = performance.now();
    if (isCount(info.maxMessageBytes) && info.maxMessageBytes > 0) this.#hubLimit = info.maxMessageBytes;
    if (isCount(info.maxDepth) && info.maxDepth > 0) this.#hubDepth = info.maxDepth;
    this.#host.registered(this, info);
    const { interval, timeout } = heartbeat(this.#host.options.heartbeat, info.heartbeatInterval);
    const blind = this.#socket.isBlind ? this.#host.options.maxMessageBytes / SLOWEST : 0;
    if (interval > 0) this.#beat({ interval, silence: interval + timeout + blind });
  }

  get registered() {
    return this.#registeredAt < Infinity && !this.#ended;
  }

  // -- what comes in

  #message(data) {
    if (this.#closing || this.#ended) return;
    this.#heard = performance.now();
    const limit = this.#host.options.maxMessageBytes + SIZE_MARGIN;
    try {
      if (typeof data !== 'string') throw new ProtocolError(1003, 'binary message');
      if (data.length * 3 > limit && byteLength(data) > limit) throw new ProtocolError(1009, 'message too big');
      this.#dispatch(decodeFrame(data));
    } catch (error) {
      if (!(error instanceof ProtocolError)) return this.#host.log.error('a frame failed', error);
      this.#host.log.warn('closing', error.message);
      this.close(error.closeCode, error.message);
    }
  }

  #dispatch({ type, payload, twice }) {
    if (type.startsWith('call.')) return this.#call(type, payload, twice);
    // The answer to the registration comes first; what comes before it is nobody's.
    if (!this.registered) return this.#count('stray');
    if (!type.startsWith('__')) return this.#event(type, payload);
    return twice ? this.#count('invalid') : this.#control(type, payload);
  }

  #event(topic, payload) {
    if (!isDeeper(payload, this.#host.options.maxDepth)) return this.#host.event(topic, payload);
    this.#count('invalid');
    return this.#host.control('__gap', { topic, dropped: 1 });
  }

  #control(type, payload) {
    switch (type) {
      case '__ping':
        return this.send('__pong');
      case '__pong':
        return undefined;
      case '__drain':
        if (isCount(payload?.retryAfter)) this.#retryAfter = payload.retryAfter;
        return this.#host.drained();
      case '__subscribed':
      case '__denied':
      case '__gap':
        return typeof payload?.topic === 'string' ? this.#host.control(type, payload) : this.#count('invalid');
      default:
        return this.#count('unknown');
    }
  }

  #call(type, payload, twice) {
    const known = ['call.requested', 'call.responded', 'call.completed', 'call.error', 'call.aborted', 'call.credit'];
    if (!known.includes(type)) return this.#count('unknown');
    if (!isObject(payload) || !isRequestId(payload.requestId)) return this.#count('invalid');
    const incoming = this.#in.get(payload.requestId);
    if (type === 'call.requested') {
      if (!this.registered) return this.#count('stray');
      return incoming ? this.#count('duplicate') : this.#requested(payload, twice);
    }
    if (type === 'call.credit' || (type === 'call.aborted' && incoming)) {
      if (!incoming) return this.#count('stray');
      return twice ? this.#count('invalid') : this.#steer(type, incoming, payload);
    }
    const outgoing = this.#out.get(payload.requestId);
    if (!outgoing) return this.#count('stray');
    if (twice) return outgoing.reject('the answer names a member twice');
    return this.#answer(type, outgoing, payload);
  }

  #steer(type, incoming, payload) {
    if (type === 'call.aborted') return incoming.stop(failure('ABORTED', 'the caller canceled', true, payload.reason));
    return isCount(payload.credit) ? incoming.give(payload.credit) : this.#count('invalid');
  }

  #answer(type, outgoing, payload) {
    switch (type) {
      case 'call.responded': {
        const data = openEnvelope(payload.output ?? null);
        const { maxDepth } = this.#host.options;
        return isDeeper(data, maxDepth) ? outgoing.reject(depthText('output', maxDepth)) : outgoing.response(data);
      }
      case 'call.completed':
        return outgoing.end(null);
      case 'call.error':
        return outgoing.end(readError(payload, this.#host.options.maxDepth));
      default: // an older peer's answer to an abort
        return outgoing.end(failure('ABORTED', 'the handler was aborted', true));
    }
  }

  // -- calls to our handlers

  #requested(request, twice) {
    const { operations, options } = this.#host;
    const refuse = (code, message) => this.#fail(request.requestId, failure(code, message, false), false);
    const wrong = twice ? 'a member is named twice' : wrongMember(request);
    if (wrong) return refuse('VALIDATION_ERROR', `the request is malformed: ${wrong}`);
    for (const member of ['input', 'metadata']) {
      if (isDeeper(request[member], options.maxDepth)) return refuse('VALIDATION_ERROR', depthText(member, options.maxDepth));
    }
    const operation = operations.get(request.operationId);
    if (!operation) return refuse('OPERATION_NOT_FOUND', `${request.operationId} is not served here`);
    // A spoke that leaves still answers the calls that its own calls in flight make.
    if (this.#host.stopping && !this.#out.has(request.parentRequestId)) return refuse('UNAVAILABLE', 'the spoke is leaving');
    if (this.#in.size >= options.maxInFlight) return refuse('OVERLOADED', `${options.maxInFlight} calls are in flight`);
    if (timeLeft(request) <= 0) return refuse('TIMEOUT', 'the time was up on arrival');
    const incoming = new Incoming(request, operation);
    this.#in.set(incoming.id, incoming);
    return this.#serve(incoming, request);
  }

  // Sends exactly one terminal frame, also after an abort; the slot is held until then.
  async #serve(incoming, request) {
    const run = incoming.operation.streams ? this.#serveStream : this.#serveUnary;
    try {
      await run.call(this, incoming, request.input ?? null, this.#context(incoming, request));
    } catch (error) {
      if (!(error instanceof CallError)) this.#host.log.error(`${incoming.operation.spec.name} failed`, error);
      this.#fail(incoming.id, incoming.signal.aborted ? incoming.signal.reason : error, true);
    } finally {
      incoming.done();
      this.#in.delete(incoming.id);
      this.#onIdle();
    }
  }

  async #serveUnary(incoming, input, context) {
    const value = await incoming.operation.handler(input, context);
    incoming.signal.throwIfAborted();
    if (incoming.stream) await incoming.take();
    this.#respond(incoming, value);
    if (incoming.stream) this.send('call.completed', { requestId: incoming.id });
  }

  async #serveStream(incoming, input, context) {
    for await (const value of incoming.operation.handler(input, context)) {
      incoming.signal.throwIfAborted();
      // A unary call ends with its first response; leaving the loop ends the generator.
      if (!incoming.stream) return this.#respond(incoming, value);
      await incoming.take();
      this.#respond(incoming, value);
      await this.#room(incoming.signal);
    }
    incoming.signal.throwIfAborted();
    if (!incoming.stream) throw failure('EXECUTION_ERROR', 'the handler yielded nothing', true);
    return this.send('call.completed', { requestId: incoming.id });
  }

  // The second argument of a handler. Its nested calls end with the call that they serve.
  #context(incoming, request) {
    const { originId, identity, metadata, operationId } = request;
    const nest = (options = {}, timeout) => ({
      ...options,
      parentRequestId: incoming.id,
      timeout: Math.min(options.timeout ?? timeout, incoming.left),
      signal: options.signal ? AbortSignal.any([options.signal, incoming.signal]) : incoming.signal,
    });
    return {
      requestId: incoming.id, originId, identity, metadata, operationId,
      signal: incoming.signal,
      timeLeft: () => incoming.left,
      call: (operation, input, options) => this.call(operation, input, nest(options, CALL_TIMEOUT)),
      stream: (operation, input, options) => this.stream(operation, input, nest(options, Infinity)),
    };
  }

  #respond(incoming, value) {
    const { id, operation } = incoming;
    const output = wrapOutput(value, operation.spec.name);
    const frame = encode('call.responded', { requestId: id, output });
    if (isDeeper(output.data, this.#hubDepth)) throw failure('EXECUTION_ERROR', depthText('output', this.#hubDepth), true);
    if (byteLength(frame) > this.#hubLimit) throw failure('MESSAGE_TOO_LARGE', 'the output is over the hub\'s limit', true);
    this.#write(frame);
  }

  #fail(requestId, error, sent) {
    const { code, message, ...rest } = writeError(error, sent);
    let frame = '';
    try {
      frame = encode('call.error', { requestId, code, message, ...rest });
      if (isDeeper(rest.details, this.#hubDepth)) {
        const text = `${code}: ${message} (${depthText('details', this.#hubDepth)} and left out)`;
        frame = encode('call.error', { requestId, code: 'EXECUTION_ERROR', message: text, retryable: false, details: { sent } });
      }
    } catch {
      // details that JSON cannot hold
    }
    if (frame === '' || byteLength(frame) > this.#hubLimit) {
      frame = encode('call.error', { requestId, code, message: `${message} (details left out)`, ...rest, details: { sent } });
    }
    this.#write(frame);
  }

  // -- calls that we make

  async call(operationId, input, options = {}) {
    const timeout = options.timeout ?? CALL_TIMEOUT;
    return new Promise((resolve, reject) => {
      const noValue = failure('EXECUTION_ERROR', 'the call ended without a response', true);
      const receiver = { response: resolve, end: (error) => reject(error ?? noValue) };
      this.#request(operationId, input, { ...options, timeout, stream: false }, receiver);
    });
  }

  stream(operationId, input, options = {}) {
    const stream = new ResponseStream(options);
    try {
      const credit = options.credit ?? STREAM_CREDIT;
      const outgoing = this.#request(operationId, input, { ...options, credit, stream: true }, stream);
      stream.attach({
        grant: (more) => this.send('call.credit', { requestId: outgoing.id, credit: more }),
        cancel: (error) => outgoing.cancel(error),
      });
    } catch (error) {
      stream.end(error);
    }
    return stream;
  }

  // Throws before anything is sent, or returns the call in flight.
  #request(operationId, input, options, receiver) {
    const { to, selector, stream, credit, timeout = Infinity, idleTimeout, failFast, metadata, parentRequestId, signal } = options;
    if (signal?.aborted) throw failure('ABORTED', 'the caller canceled', false, signal.reason);
    if (timeout <= 0) throw failure('TIMEOUT', 'the time was up', false);
    const requestId = this.#idPrefix + ++this.#lastId;
    const frame = encode('call.requested', {
      requestId, operationId, input: input ?? null, stream, credit, to, selector,
      timeout: timeout < Infinity ? Math.ceil(timeout) : undefined,
      idleTimeout: idleTimeout < Infinity ? Math.ceil(idleTimeout) : undefined,
      failFast, parentRequestId, metadata,
    });
    this.#admit(frame, { input, metadata });
    const outgoing = new Outgoing(this, requestId, !stream, receiver);
    this.#out.set(requestId, outgoing);
    this.#write(frame);
    outgoing.watch(timeout, signal);
    return outgoing;
  }

  forget(requestId) {
    this.#out.delete(requestId);
    this.#onIdle();
  }

  publish(topic, payload) {
    const frame = encode(topic, payload);
    this.#admit(frame, { payload });
    this.#write(frame);
  }

  // -- what goes out

  #admit(frame, values) {
    if (this.#ended || this.#closing) throw failure('UNAVAILABLE', 'not connected', false);
    for (const [name, value] of Object.entries(values)) {
      if (isDeeper(value, this.#hubDepth)) throw failure('VALIDATION_ERROR', depthText(name, this.#hubDepth), false);
    }
    if (byteLength(frame) > this.#hubLimit) throw failure('MESSAGE_TOO_LARGE', 'over the hub\'s limit', false);
    if (this.#socket.waiting > SEND_LIMIT) throw failure('OVERLOADED', 'the connection is full', false);
  }

  /** Sends a small frame of the protocol's own; after the end it does nothing. */
  send(type, payload) {
    this.#write(encode(type, payload));
  }

  #write(frame) {
    if (this.#ended || this.#closing) return;
    this.#sent = performance.now();
    this.#socket.send(frame);
  }

  // Waits until the socket has taken most of what we wrote. Browsers have no event for it, so we look.
  async #room(signal) {
    while (this.#socket.waiting > SEND_PAUSE && !this.#ended && !signal.aborted) {
      await new Promise((resolve) => after(20, resolve));
    }
  }

  // -- the end

  // Sends __ping when this side has sent nothing for the interval, and drops the connection when nothing has been
  // received for `silence`. A busy program may have kept the event loop from what has arrived, so the second look decides.
  #beat({ interval, silence }, second = false) {
    if (this.#ended) return;
    const now = performance.now();
    const { waiting, isBlind } = this.#socket;
    if (waiting > 0) this.#sent = now;
    if (isBlind && waiting < this.#waited) this.#heard = now;
    this.#waited = waiting;
    let next = this.#heard + silence - now;
    if (next <= 0) {
      if (second) return this.#lose(4001, 'heartbeat missed');
      this.#timers.beat = after(1, () => this.#beat({ interval, silence }, true));
      return;
    }
    if (now - this.#sent >= interval) this.send('__ping');
    next = Math.min(next, this.#sent + interval - now, waiting > 0 && isBlind ? LOOK : Infinity);
    this.#timers.beat = after(Math.max(next, 1), () => this.#beat({ interval, silence }));
  }

  // A dead connection answers no close frame, so none is sent.
  #lose(code, reason) {
    this.#socket.destroy();
    this.#finish({ code, reason });
  }

  /** Announces that the spoke leaves, lets the calls in flight end within `timeout`, and closes with 4008. */
  async leave(timeout) {
    this.send('__drain', {});
    const isIdle = () => this.#in.size === 0 && ![...this.#out.values()].some((call) => call.unary);
    await new Promise((resolve) => {
      const timer = after(timeout, resolve);
      this.#onIdle = () => {
        if (!isIdle() && !this.#ended) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onIdle();
    });
    this.close(LEFT, 'the spoke left');
  }

  close(code, reason) {
    if (this.#ended || this.#closing) return;
    this.#closing = true;
    const end = { code, reason };
    if (!this.#socket) return this.#finish(end);
    this.#timers.close = after(CLOSE_TIMEOUT, () => {
      this.#socket.destroy();
      this.#finish(end);
    });
    this.#socket.close(code, reason); // may end it at once, so the timer comes first
  }

  #finish(end) {
    if (this.#ended) return;
    const steady = performance.now() - this.#registeredAt >= STEADY;
    this.#ended = true;
    Object.values(this.#timers).forEach(clearTimeout);
    // Without a session it is unknown how far they came.
    for (const incoming of this.#in.values()) incoming.stop(failure('DISCONNECTED', 'the connection was lost', true));
    for (const outgoing of [...this.#out.values()]) outgoing.end(failure('DISCONNECTED', 'the connection was lost', true));
    this.#onIdle();
    const hinted = this.#refusal?.details.retryAfter;
    // retryAfter of __drain delays the next dial; the Retry-After of HTTP delays its URL.
    const pause = Math.max(this.#retryAfter, isCount(hinted) ? hinted : 0);
    this.#resolve({ ...end, steady, pause, refused: refusalOf(end), refusal: this.#refusal });
  }

  #count(name) {
    this.#host.stats[name]++;
  }
}

// Returns `unauthenticated`, `forbidden`, or undefined if the hub did not refuse. A 401 or 403 without the hub's header comes from
// something else on the way.
function refusalOf({ code, reason, refused }) {
  if (code === 4500) return reason.startsWith('unauthenticated') ? 'unauthenticated' : 'forbidden';
  return ['unauthenticated', 'forbidden'].includes(refused) ? refused : undefined;
}

function encode(type, payload) {
  return JSON.stringify({ type, payload });
}

function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, '0')).join('');
}

// The spoke's own setting wins over what the hub asks for; 0 or false is none.
function heartbeat(option, fromHub) {
  const own = isObject(option) ? option : { interval: option === false ? 0 : option };
  return {
    interval: own.interval ?? (fromHub > 0 ? fromHub : HEARTBEAT.interval),
    timeout: own.timeout ?? HEARTBEAT.timeout,
  };
}

// ---- The spoke ---------------------------------------------------------------------------------

const DEFAULTS = {
  maxInFlight: 64, maxMessageBytes: MIB, maxDepth: MAX_DEPTH, maxRetryAfter: MAX_RETRY_AFTER, labels: {}, token: '',
};
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * A worker that stays connected to a hub. `urls` is one URL or several, tried in turn. Options:
 *
 * - `id`: the spoke id; left out, the hub assigns one
 * - `token`: a string, or a function (also async) that is called before every dial. A hub that does not accept the token is
 *   final when the function returns the same one again, or after 3 different ones over 30 s
 * - `instanceId`, `name`, `version`, `labels`: what the registration says of it
 * - `maxInFlight` (64), `maxMessageBytes` (1 MiB), `maxDepth` (256 levels of a value): what it takes
 * - `heartbeat`: milliseconds, or `{interval, timeout}`; left out, as the hub says; 0 is none
 * - `backoff`: `{min, max}`, 200 ms and 20 s
 * - `maxRetryAfter`: the longest pause that a hub can ask for, in milliseconds (2 minutes)
 * - `logger`: has debug, info, warn and error; silent without
 * - `WebSocket`: a class to use in place of the platform's
 */
export class Spoke {
  #urls;
  #options;
  #log;
  #operations = new Map();
  #topics = new Map(); // topic → {members, live, broken}
  #watchers = new Set();
  #state = 'idle';
  #info = null;
  #attempt = 0;
  #turn = 0; // of the URLs
  #notBefore = new Map(); // URL → when it may be dialed again
  #tokens = { used: undefined, registered: undefined, refused: new Set(), since: 0, last: undefined };
  #connection = null;
  #stopping = false;
  #ended = null; // resolves when run() has ended
  #wake = () => {};
  #announcing = false;

  /** Counts of frames that were ignored, and of connections that registered. */
  stats = { unknown: 0, stray: 0, invalid: 0, duplicate: 0, registrations: 0 };

  constructor(urls, options = {}) {
    this.#urls = [urls].flat().map(String);
    if (this.#urls.length === 0) throw new TypeError('no hub URL');
    for (const url of this.#urls) {
      if (!/^wss?:$/.test(new URL(url).protocol)) throw new TypeError(`not a WebSocket URL: ${url}`);
    }
    const { maxDepth = MAX_DEPTH } = options;
    if (!isCount(maxDepth) || maxDepth < 1 || maxDepth > DEEPEST) throw new TypeError(`maxDepth ${maxDepth} is not 1 to ${DEEPEST}`);
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#options = { ...DEFAULTS, instanceId: randomHex(16), ...given, backoff: { ...BACKOFF, ...options.backoff } };
    this.#log = { ...SILENT, ...bindLogger(options.logger) };
  }

  /** `idle`, `connecting`, `registered`, `draining`, `waiting` or `stopped`. */
  get state() {
    return this.#state;
  }

  /** What the hub answered to the last registration, or null. */
  get info() {
    return this.#info;
  }

  get id() {
    return this.#info?.spokeId ?? this.#options.id;
  }

  /** Calls `fn(state, spoke)` on each change. Returns a function that ends it. */
  onState(fn) {
    this.#watchers.add(fn);
    return () => this.#watchers.delete(fn);
  }

  /** Serves an operation that answers once: `async (input, context) => output`. */
  handle(name, { type = 'query', ...rest } = {}, handler) {
    this.#serve({ ...rest, name, type }, handler, false);
  }

  /** Serves a stream: `async function* (input, context)`, one response for each value. */
  handleStream(name, { type = 'subscription', ...rest } = {}, handler) {
    this.#serve({ ...rest, name, type }, handler, true);
  }

  #serve(spec, handler, streams) {
    if (typeof handler !== 'function') throw new TypeError(`no handler for ${spec.name}`);
    this.#operations.set(spec.name, { spec, handler, streams });
    if (!this.#connection?.registered || this.#announcing) return;
    // Several new operations make one registration.
    this.#announcing = true;
    queueMicrotask(() => {
      this.#announcing = false;
      if (this.#connection?.registered) this.#connection.register();
    });
  }

  /**
   * Calls an operation, wherever it is served. Options: `to`, `selector`, `timeout` (30 s), `failFast` (do not
   * wait for a spoke that is detached), `signal`, `metadata`.
   * Fails with a CallError.
   */
  async call(operationId, input, options) {
    return this.#live().call(operationId, input, options);
  }

  /** Like call(), for many responses: an async iterator. Options also: `credit` (16), `idleTimeout`. */
  stream(operationId, input, options = {}) {
    if (this.#connection?.registered) return this.#connection.stream(operationId, input, options);
    const stream = new ResponseStream(options);
    stream.end(failure('UNAVAILABLE', 'not connected', false));
    return stream;
  }

  /** Publishes an event. To know that it was published, call the hub's operation `hub.publish`. */
  publish(topic, payload = null) {
    checkTopic(topic);
    if (/^(__|call\.|hub\.)/.test(topic)) throw failure('VALIDATION_ERROR', `reserved: ${topic}`, false);
    this.#live().publish(topic, payload);
  }

  /**
   * Calls `fn(payload, topic)` for each event of a topic, over all connections. `onGap({topic, dropped})` tells of
   * a break; `dropped` is null where nobody counted, as after a lost connection. `onDenied(error)` ends it.
   * Returns `{live, close}`: a promise that holds when the subscription is live, and the way to end it.
   */
  subscribe(topic, fn, { onGap, onDenied } = {}) {
    checkTopic(topic);
    const member = { fn, onGap, onDenied };
    const live = new Promise((resolve, reject) => Object.assign(member, { resolve, reject }));
    live.catch(() => {}); // who wants to know awaits it
    const entry = this.#topics.get(topic) ?? { members: new Set(), live: false, broken: false };
    const first = entry.members.size === 0;
    entry.members.add(member);
    this.#topics.set(topic, entry);
    if (entry.live) member.resolve();
    else if (first) this.#sendLive('__subscribe', topic);
    return { live, close: () => this.#unsubscribe(topic, entry, member) };
  }

  #unsubscribe(topic, entry, member) {
    member.reject(failure('ABORTED', 'the subscription was closed', false));
    if (!entry.members.delete(member) || entry.members.size > 0) return;
    this.#topics.delete(topic);
    this.#sendLive('__unsubscribe', topic);
  }

  #sendLive(type, topic) {
    if (this.#connection?.registered) this.#connection.send(type, { topic });
  }

  #live() {
    if (this.#connection?.registered) return this.#connection;
    throw failure('UNAVAILABLE', 'not connected', false);
  }

  /** Connects, serves and comes back, until stop(), or fails with a StoppedError when the hub says so. */
  async run() {
    if (this.#ended) throw new Error('run was called already');
    let ended;
    this.#ended = new Promise((resolve) => (ended = resolve));
    try {
      await this.#keepConnected();
    } finally {
      this.#setState('stopped');
      ended();
    }
  }

  async #keepConnected() {
    const { min, max } = this.#options.backoff;
    for (let losses = 0; !this.#stopping; losses++) {
      const end = await this.#connectOnce();
      if (this.#stopping) return;
      this.#judge(end);
      if (end.steady) losses = 0;
      // Full jitter on top of what the hub asked for, so that spokes that got the same answer do not come together.
      const delay = this.#pause(end.pause) + Math.random() * Math.min(max, min * 2 ** losses);
      this.#log.info(`connection ended (${end.code} ${end.reason}), next in ${Math.round(delay)} ms`);
      this.#setState('waiting');
      await this.#sleep(delay);
    }
  }

  // Throws if the spoke must not reconnect.
  #judge(end) {
    const { url, code, reason, status, refused, retryAfter = 0, refusal } = end;
    this.#notBefore.set(url, Date.now() + Math.min(retryAfter, this.#options.maxRetryAfter));
    const stopped = () => new StoppedError(refused && code !== 4500 ? status : code, reason, refusal);
    if (refused !== 'unauthenticated') {
      if (refused || (code >= 4500 && code <= 4999)) throw stopped();
      return;
    }
    const tokens = this.#tokens;
    if (tokens.refused.size === 0) tokens.since = Date.now();
    tokens.refused.add(tokens.used);
    tokens.last = { token: tokens.used, stopped };
    if (tokens.refused.size >= REFUSED_TOKENS && Date.now() - tokens.since >= REFUSED_TIME) throw stopped();
  }

  // Returns the token of the next dial. Called before every dial, so that expired credentials are replaced.
  async #token() {
    const { token } = this.#options;
    const tokens = this.#tokens;
    const next = typeof token === 'function' ? await this.#ask(token) : token;
    if (tokens.last?.token === next) {
      // A token that was accepted before has probably expired, and its source may lag behind the hub's clock.
      const lags = next === tokens.registered && Date.now() - tokens.since < REFUSED_TIME;
      if (!lags) throw tokens.last.stopped();
    }
    return (tokens.used = next);
  }

  // Calls the token function, and waits neither longer than for a dial nor after stop().
  async #ask(source) {
    const late = this.#sleep(DIAL_TIMEOUT).then(() => {
      throw new Error('the token function did not return in time');
    });
    late.catch(() => {});
    try {
      return await Promise.race([source(), late]);
    } finally {
      this.#wake();
    }
  }

  // How long to wait for the next dial: as the hub asked, or until the first URL may be dialed again.
  #pause(asked) {
    const waits = this.#urls.map((url) => (this.#notBefore.get(url) ?? 0) - Date.now());
    return Math.max(0, Math.min(asked, this.#options.maxRetryAfter), Math.min(...waits));
  }

  // The next URL in turn that may be dialed now.
  #nextURL() {
    for (let i = 0; i < this.#urls.length; i++) {
      const url = this.#urls[this.#turn++ % this.#urls.length];
      if ((this.#notBefore.get(url) ?? 0) <= Date.now()) return url;
    }
    return this.#urls[this.#turn++ % this.#urls.length];
  }

  async #connectOnce() {
    this.#setState('connecting');
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      if (error instanceof StoppedError) throw error;
      return { url: '', code: 1006, reason: `no token: ${error.message}`, pause: 0 };
    }
    if (this.#stopping) return null;
    const url = this.#nextURL();
    this.#attempt++;
    this.#connection = new Connection(this.#host());
    const end = await this.#connection.run(url, token);
    this.#connection = null;
    for (const entry of this.#topics.values()) {
      entry.broken ||= entry.live;
      entry.live = false;
    }
    return { ...end, url };
  }

  async #sleep(ms) {
    let timer;
    await new Promise((resolve) => {
      this.#wake = resolve;
      timer = after(ms, resolve);
      if (this.#stopping) resolve();
    });
    clearTimeout(timer);
  }

  /** Leaves: takes nothing new, lets what is in flight end within `timeout`, closes. */
  async stop({ timeout = 30_000 } = {}) {
    this.#stopping = true;
    this.#wake();
    if (this.#connection?.registered) {
      this.#setState('draining');
      await this.#connection.leave(timeout);
    } else {
      this.#connection?.close(LEFT, 'the spoke left');
    }
    await this.#ended;
  }

  // What a connection sees of its spoke.
  #host() {
    const spoke = this;
    return {
      options: this.#options,
      log: this.#log,
      stats: this.stats,
      operations: this.#operations,
      get stopping() {
        return spoke.#stopping;
      },
      registration: () => this.#registration(),
      registered: (connection, info) => this.#registered(connection, info),
      drained: () => this.#setState('draining'),
      event: (topic, payload) => this.#event(topic, payload),
      control: (type, payload) => this.#control(type, payload),
    };
  }

  #registration() {
    const { id, instanceId, name, version, labels, maxInFlight, maxMessageBytes, maxDepth } = this.#options;
    const operations = [...this.#operations.values()].map(({ spec }) => spec);
    return {
      spokeId: id, instanceId, attempt: this.#attempt, name, version, labels, operations, maxInFlight, maxMessageBytes,
      maxDepth,
    };
  }

  #registered(connection, info) {
    this.#info = info;
    this.stats.registrations++;
    this.#tokens = { ...this.#tokens, registered: this.#tokens.used, refused: new Set(), last: undefined };
    for (const topic of this.#topics.keys()) connection.send('__subscribe', { topic });
    this.#setState('registered');
  }

  // -- events

  #event(topic, payload) {
    const entry = this.#topics.get(topic);
    if (!entry) return this.stats.stray++;
    this.#goLive(topic, entry);
    for (const member of [...entry.members]) this.#tell(member.fn, payload, topic);
    return undefined;
  }

  #goLive(topic, entry) {
    if (entry.live) return;
    entry.live = true;
    // The break is told before the first event after it.
    if (entry.broken) this.#gap(entry, { topic, dropped: null });
    entry.broken = false;
    for (const member of entry.members) member.resolve();
  }

  #gap(entry, gap) {
    for (const member of [...entry.members]) this.#tell(member.onGap, gap);
  }

  #control(type, { topic, dropped, action, code, message }) {
    const entry = this.#topics.get(topic);
    if (type === '__denied' && action !== 'subscribe') {
      return this.#log.warn(`${action} ${topic} was denied: ${code} ${message}`);
    }
    if (!entry) return this.stats.stray++;
    if (type === '__subscribed') return this.#goLive(topic, entry);
    if (type === '__gap') return this.#gap(entry, { topic, dropped: dropped ?? null });
    this.#topics.delete(topic);
    const error = readError({ code, message, details: { sent: false } });
    this.#log.warn(`subscribe ${topic} was denied: ${error.code} ${error.message}`);
    for (const member of entry.members) {
      member.reject(error);
      this.#tell(member.onDenied, error);
    }
    entry.members.clear();
    return undefined;
  }

  // The user's own code: what it throws is its own matter.
  #tell(fn, ...args) {
    try {
      fn?.(...args);
    } catch (error) {
      this.#log.error('a callback failed', error);
    }
  }

  #setState(state) {
    if (this.#state === state || (state === 'draining' && this.#state !== 'registered')) return;
    this.#state = state;
    for (const fn of [...this.#watchers]) this.#tell(fn, state, this);
  }
}

function checkTopic(topic) {
  if (!isTopic(topic)) throw failure('VALIDATION_ERROR', `not a topic: ${topic}`, false);
}

function bindLogger(logger) {
  const names = Object.keys(SILENT).filter((name) => typeof logger?.[name] === 'function');
  return Object.fromEntries(names.map((name) => [name, logger[name].bind(logger)]));
}

// ---- The worker that this file is when run directly ---------------------------------------------

function textOf(input) {
  if (typeof input?.text !== 'string') throw new CallError('VALIDATION_ERROR', 'the input has no string "text"');
  return input.text;
}

// What follows the last line feed is a line only when it is not empty.
function linesOf(text) {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

const TEXT_SCHEMA = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };

/** Serves `text.wordcount` and the stream `text.lines` on a spoke. */
export function serveText(spoke) {
  spoke.handle('text.wordcount', { description: 'counts words, lines and bytes', inputSchema: TEXT_SCHEMA }, async (input) => {
    const text = textOf(input);
    // \s is not White_Space: it has U+FEFF and lacks U+0085.
    const words = text.match(/\P{White_Space}+/gu)?.length ?? 0;
    return { words, lines: linesOf(text).length, bytes: byteLength(text) };
  });
  spoke.handleStream('text.lines', { description: 'yields each line', inputSchema: TEXT_SCHEMA }, async function* lines(input) {
    let number = 0;
    for (const line of linesOf(textOf(input))) yield { line, number: ++number };
  });
}

async function main() {
  const { parseArgs } = await import('node:util');
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { id: { type: 'string' }, token: { type: 'string' }, name: { type: 'string' } },
  });
  if (positionals.length === 0) throw new Error('usage: node spoke.mjs URL… [--id ID] [--token TOKEN] [--name NAME]');
  const logger = { info: console.error, warn: console.error, error: console.error }; // standard output is for the result
  const token = values.token ?? process.env.HUBSPOKE_TOKEN;
  const spoke = new Spoke(positionals, { ...values, token, logger });
  serveText(spoke);
  spoke.onState((state) => {
    if (state === 'registered') console.log(`registered as ${spoke.id}`);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => spoke.stop());
  await spoke.run();
}

async function isMain() {
  if (!globalThis.process?.versions?.node || !process.argv[1]) return false;
  const [{ pathToFileURL }, { realpathSync }] = await Promise.all([import('node:url'), import('node:fs')]);
  try {
    return pathToFileURL(realpathSync(process.argv[1])).href === import.meta.url;
  } catch {
    return false; // run from something that is not a file
  }
}

if (await isMain()) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
