// Run with: node --test examples/hub-spoke/js/spoke.test.mjs
// With HUBSPOKE_WEBSOCKET=platform it tries the platform's WebSocket in place of the file's own client.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FakeHub } from './fakehub.mjs';
import { CallError, Envelope, Spoke, StoppedError, serveText } from './spoke.mjs';

const platform = process.env.HUBSPOKE_WEBSOCKET === 'platform';
if (!platform) delete globalThis.WebSocket;
else assert.ok(globalThis.WebSocket, 'this Node has no WebSocket: run it with --experimental-websocket');

const QUICK = { backoff: { min: 1, max: 4 } };

// A spoke on a hub, registered, stopped with the test.
async function join(t, { options = {}, answer, serve = () => {} } = {}) {
  const hub = await FakeHub.start(t);
  const spoke = new Spoke(hub.url, { id: 'js-1', ...QUICK, ...options });
  serve(spoke);
  const registered = reached(spoke, 'registered');
  const ended = spoke.run();
  ended.catch(() => {});
  t.after(() => Promise.all([hub.close(), spoke.stop({ timeout: 1 })]));
  const connection = await hub.register(answer);
  await registered;
  return { hub, spoke, connection, ended };
}

function reached(spoke, state) {
  return new Promise((resolve) => {
    const end = spoke.onState((now) => {
      if (now === state) resolve(end());
    });
  });
}

test('registers, with the token in a header or a protocol', async (t) => {
  const hub = await FakeHub.start(t);
  const spoke = new Spoke(hub.url, { id: 'js-1', token: 'sécret', labels: { a: 'b' }, version: '1', ...QUICK });
  serveText(spoke);
  spoke.run();
  t.after(() => spoke.stop({ timeout: 1 }));
  const connection = await hub.accept();
  if (platform) {
    assert.equal(connection.headers['sec-websocket-protocol'], 'hubspoke.v1, hubspoke.bearer.c8OpY3JldA');
  } else {
    assert.equal(Buffer.from(connection.headers.authorization, 'latin1').toString(), 'Bearer sécret');
  }
  const input = await connection.register();
  assert.equal(input.spokeId, 'js-1');
  assert.equal(input.attempt, 1);
  assert.match(input.instanceId, /^[0-9a-f]{32}$/);
  assert.deepEqual(input.labels, { a: 'b' });
  assert.deepEqual(input.operations.map((o) => [o.name, o.type]), [['text.wordcount', 'query'], ['text.lines', 'subscription']]);
  assert.equal(input.maxInFlight, 64);
  assert.equal(input.maxMessageBytes, 1 << 20);
  assert.equal(input.maxDepth, 256);
});

test('serves a unary call and wraps its output', async (t) => {
  const { connection } = await join(t, { serve: serveText });
  for (const [text, want] of [
    ['', { words: 0, lines: 0, bytes: 0 }],
    ['a b\nc', { words: 3, lines: 2, bytes: 5 }],
    ['a\u0085b\ufeffc é\n', { words: 3, lines: 1, bytes: 12 }],
    ['\n', { words: 0, lines: 1, bytes: 1 }],
  ]) {
    connection.request(`id ${text}`, 'text.wordcount', { text });
    const { requestId, output } = await connection.expect('call.responded');
    assert.equal(requestId, `id ${text}`);
    assert.deepEqual(output.data, want);
    assert.equal(output.meta.source, 'local');
    assert.equal(output.meta.operationId, 'text.wordcount');
    assert.ok(Number.isInteger(output.meta.timestamp));
  }
});

test('answers errors with their code and says what was sent', async (t) => {
  const { connection } = await join(t, {
    serve: (spoke) => {
      spoke.handle('a.throws', {}, async () => { throw new Error('bad luck'); });
      spoke.handle('a.own', {}, async () => { throw new CallError('OUT_OF_INK', 'refill', { retryable: true, details: { ml: 0 } }); });
      spoke.handle('a.big', {}, async () => 'x'.repeat(2000));
      spoke.handle('a.odd', {}, async () => 1n);
      spoke.handle('a.mcp', {}, async () => new Envelope([1], { source: 'mcp', server: 's' }));
    },
    answer: { maxMessageBytes: 1000 },
  });
  const errors = [
    ['a.none', {}, 'OPERATION_NOT_FOUND', true, { sent: false }],
    ['a.throws', {}, 'EXECUTION_ERROR', false, { sent: true }],
    ['a.own', {}, 'OUT_OF_INK', true, { ml: 0, sent: true }],
    ['a.big', {}, 'MESSAGE_TOO_LARGE', false, { sent: true }],
    ['a.odd', {}, 'EXECUTION_ERROR', false, { sent: true }],
    ['a.own', { timeout: 'soon' }, 'VALIDATION_ERROR', false, { sent: false }],
    ['a.own', { timeout: 0 }, 'TIMEOUT', false, { sent: false }],
    [undefined, {}, 'VALIDATION_ERROR', false, { sent: false }],
  ];
  for (const [operation, more, code, retryable, details] of errors) {
    connection.request('1', operation, null, more);
    const { message, ...rest } = await connection.expect('call.error');
    assert.deepEqual(rest, { requestId: '1', code, retryable, details });
    assert.equal(typeof message, 'string');
  }
  connection.write(1, '{"type":"call.requested","payload":{"requestId":"2","operationId":"a.own","operationId":"a.mcp"}}');
  assert.equal((await connection.expect('call.error')).code, 'VALIDATION_ERROR');
  connection.request('3', 'a.mcp', null);
  assert.deepEqual((await connection.expect('call.responded')).output, { data: [1], meta: { source: 'mcp', server: 's' } });
});

test('takes no more than maxInFlight and ignores a second of the same id', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const { connection, spoke } = await join(t, {
    options: { maxInFlight: 1 },
    serve: (s) => s.handle('a.wait', {}, () => held),
  });
  connection.request('1', 'a.wait', null);
  connection.request('1', 'a.wait', null);
  connection.request('2', 'a.wait', null);
  assert.equal((await connection.expect('call.error')).code, 'OVERLOADED');
  assert.equal(spoke.stats.duplicate, 1);
  release('done');
  assert.equal((await connection.expect('call.responded')).requestId, '1');
});

test('aborts a handler, by the caller and by its time, with one terminal frame each', async (t) => {
  const { connection } = await join(t, {
    serve: (s) => s.handle('a.wait', {}, (input, { signal }) => new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve('too late'));
    })),
  });
  connection.request('1', 'a.wait', null);
  connection.send('call.aborted', { requestId: '1', reason: 'enough' });
  const aborted = await connection.expect('call.error');
  assert.deepEqual([aborted.requestId, aborted.code, aborted.details.sent], ['1', 'ABORTED', true]);
  connection.request('2', 'a.wait', null, { timeout: 5 });
  assert.equal((await connection.expect('call.error')).code, 'TIMEOUT');
  connection.request('3', 'a.wait', null, { deadline: Date.now() + 5 });
  assert.equal((await connection.expect('call.error')).code, 'TIMEOUT');
});

test('streams within its credit and ends when aborted', async (t) => {
  let made = 0;
  let cleaned;
  const ended = new Promise((resolve) => (cleaned = resolve));
  const { connection } = await join(t, {
    serve: (s) => {
      serveText(s);
      s.handleStream('a.count', {}, async function* count() {
        try {
          for (;;) yield ++made;
        } finally {
          cleaned();
        }
      });
    },
  });
  connection.request('1', 'a.count', null, { credit: 2 });
  assert.equal((await connection.expect('call.responded')).output.data, 1);
  assert.equal((await connection.expect('call.responded')).output.data, 2);
  connection.send('call.credit', { requestId: '1', credit: 1 });
  assert.equal((await connection.expect('call.responded')).output.data, 3);
  connection.send('call.aborted', { requestId: '1' });
  assert.equal((await connection.expect('call.error')).code, 'ABORTED');
  await ended;
  assert.equal(made, 4);

  connection.request('2', 'text.lines', { text: 'a\nb\n' });
  assert.deepEqual((await connection.expect('call.responded')).output.data, { line: 'a', number: 1 });
  assert.deepEqual((await connection.expect('call.responded')).output.data, { line: 'b', number: 2 });
  assert.deepEqual(await connection.expect('call.completed'), { requestId: '2' });
});

test('a unary call of a stream ends with its first response, a stream of a unary call has one', async (t) => {
  const { connection } = await join(t, { serve: serveText });
  connection.request('1', 'text.lines', { text: 'a\nb' }, { stream: false });
  assert.equal((await connection.expect('call.responded')).output.data.line, 'a');
  connection.request('2', 'text.wordcount', { text: 'a' }, { stream: true, credit: 1 });
  assert.equal((await connection.expect('call.responded')).requestId, '2');
  assert.deepEqual(await connection.expect('call.completed'), { requestId: '2' });
  connection.request('3', 'text.lines', { text: '' }, { stream: false });
  assert.equal((await connection.expect('call.error')).code, 'EXECUTION_ERROR');
});

test('calls, with options, and opens envelopes', async (t) => {
  const { connection, spoke } = await join(t);
  const answer = spoke.call('b.op', { x: 1 }, { to: 'w', selector: { r: 'eu' }, timeout: 5000, metadata: { traceparent: 'p' } });
  const { requestId, ...request } = await connection.expect('call.requested');
  assert.deepEqual(request, {
    operationId: 'b.op', input: { x: 1 }, stream: false, to: 'w', selector: { r: 'eu' }, timeout: 5000, metadata: { traceparent: 'p' },
  });
  connection.send('call.responded', { requestId, output: { data: 7, meta: { source: 'local' } } });
  assert.equal(await answer, 7);

  const bare = spoke.call('b.op');
  connection.send('call.responded', { requestId: (await connection.expect('call.requested')).requestId, output: { data: 8 } });
  assert.deepEqual(await bare, { data: 8 });

  const failed = spoke.call('b.op');
  const failing = await connection.expect('call.requested');
  connection.send('call.error', { requestId: failing.requestId, code: 'lower', message: 'm', details: { sent: false } });
  await assert.rejects(failed, { code: 'EXECUTION_ERROR', retryable: false, sent: false, message: 'm', details: {} });

  const twice = spoke.call('b.op');
  const { requestId: id } = await connection.expect('call.requested');
  connection.write(1, `{"type":"call.responded","payload":{"requestId":"${id}","output":1,"output":2}}`);
  await assert.rejects(twice, { code: 'EXECUTION_ERROR', sent: true });
});

test('a caller that stops waiting is told at once and the handler is aborted', async (t) => {
  const { connection, spoke } = await join(t);
  const controller = new AbortController();
  const aborted = spoke.call('b.op', null, { signal: controller.signal });
  const first = await connection.expect('call.requested');
  controller.abort();
  await assert.rejects(aborted, { code: 'ABORTED', sent: true });
  assert.equal((await connection.expect('call.aborted')).requestId, first.requestId);
  await assert.rejects(spoke.call('b.op', null, { signal: controller.signal }), { code: 'ABORTED', sent: false });

  const late = spoke.call('b.op', null, { timeout: 5 });
  const second = await connection.expect('call.requested');
  await assert.rejects(late, { code: 'TIMEOUT', sent: true });
  assert.equal((await connection.expect('call.aborted')).requestId, second.requestId);

  const older = spoke.call('b.op');
  connection.send('call.aborted', { requestId: (await connection.expect('call.requested')).requestId });
  await assert.rejects(older, { code: 'ABORTED' });
  await assert.rejects(spoke.call('b.op', 'x'.repeat(2 << 20)), { code: 'MESSAGE_TOO_LARGE', sent: false });
});

test('reads a stream, gives credit as it reads, and aborts what it leaves', async (t) => {
  const { connection, spoke } = await join(t);
  const stream = spoke.stream('b.stream', null, { credit: 2 });
  const { requestId, credit } = await connection.expect('call.requested');
  assert.equal(credit, 2);
  const respond = (output) => connection.send('call.responded', { requestId, output });
  respond(1);
  respond(2);
  assert.deepEqual(await stream.next(), { value: 1, done: false });
  assert.deepEqual(await connection.expect('call.credit'), { requestId, credit: 1 });
  assert.deepEqual(await stream.next(), { value: 2, done: false });
  assert.deepEqual(await connection.expect('call.credit'), { requestId, credit: 1 });
  respond(3);
  connection.send('call.completed', { requestId });
  const rest = [];
  for await (const value of stream) rest.push(value);
  assert.deepEqual(rest, [3]);

  const left = spoke.stream('b.stream');
  const leaving = await connection.expect('call.requested');
  connection.send('call.responded', { requestId: leaving.requestId, output: 1 });
  for await (const value of left) {
    assert.equal(value, 1);
    break;
  }
  assert.equal((await connection.expect('call.aborted')).requestId, leaving.requestId);

  const flooded = spoke.stream('b.stream', null, { credit: 1 });
  const flood = await connection.expect('call.requested');
  for (const output of [1, 2]) connection.send('call.responded', { requestId: flood.requestId, output });
  assert.equal((await connection.expect('call.aborted')).requestId, flood.requestId);
  assert.equal((await flooded.next()).value, 1);
  await assert.rejects(flooded.next(), { code: 'SLOW_CONSUMER' });

  const idle = spoke.stream('b.stream', null, { idleTimeout: 5 });
  await connection.expect('call.requested');
  await assert.rejects(idle.next(), { code: 'TIMEOUT' });
});

test('a nested call names its parent and ends with it', async (t) => {
  const { connection } = await join(t, { serve: (s) => s.handle('a.nest', {}, (input, ctx) => ctx.call('b.op', input)) });
  connection.request('p1', 'a.nest', 5, { timeout: 1000, identity: { id: 'anna' } });
  const nested = await connection.expect('call.requested');
  assert.equal(nested.parentRequestId, 'p1');
  assert.ok(nested.timeout > 0 && nested.timeout <= 1000);
  connection.send('call.aborted', { requestId: 'p1' });
  assert.equal((await connection.expect('call.aborted')).requestId, nested.requestId);
  assert.equal((await connection.expect('call.error')).requestId, 'p1');
});

test('events: subscribes once per topic, tells gaps, unsubscribes', async (t) => {
  const { connection, spoke } = await join(t);
  const got = [];
  const one = spoke.subscribe('s:1', (payload) => got.push(['one', payload]), { onGap: (gap) => got.push(gap) });
  assert.deepEqual(await connection.expect('__subscribe'), { topic: 's:1' });
  connection.send('__subscribed', { topic: 's:1' });
  await one.live;
  const two = spoke.subscribe('s:1', (payload) => got.push(['two', payload]));
  await two.live;
  connection.send('s:1', { n: 1 });
  connection.send('__gap', { topic: 's:1', dropped: 3 });
  connection.send('s:1');
  connection.send('__ping');
  await connection.expect('__pong');
  assert.deepEqual(got, [['one', { n: 1 }], ['two', { n: 1 }], { topic: 's:1', dropped: 3 }, ['one', null], ['two', null]]);
  one.close();
  two.close();
  assert.deepEqual(await connection.expect('__unsubscribe'), { topic: 's:1' });
  spoke.publish('s:2', [1]);
  assert.deepEqual(await connection.next(), { type: 's:2', payload: [1] });
  for (const topic of ['__x', 'call.x', 'hub.x', '', 'a\nb', 'x'.repeat(257), '*', 'a.*', 'a:>', '>.b']) {
    assert.throws(() => spoke.publish(topic), { code: 'VALIDATION_ERROR' });
  }
  const denied = spoke.subscribe('secret', () => {});
  await connection.expect('__subscribe');
  connection.send('__denied', { action: 'subscribe', topic: 'secret', code: 'ACCESS_DENIED', message: 'no' });
  await assert.rejects(denied.live, { code: 'ACCESS_DENIED' });
});

test('comes back after a loss: a higher attempt, same instance, subscriptions again, the gap told', async (t) => {
  const { hub, connection, spoke } = await join(t, { options: { instanceId: 'i1' } });
  const got = [];
  const { live } = spoke.subscribe('s', (payload) => got.push(payload), { onGap: (gap) => got.push(gap) });
  connection.send('__subscribed', await connection.expect('__subscribe'));
  await live;
  const lost = spoke.call('b.op');
  await connection.expect('call.requested');
  connection.cut();
  await assert.rejects(lost, { code: 'DISCONNECTED', sent: true, retryable: true });
  const next = await hub.accept();
  const input = await next.register();
  assert.deepEqual([input.instanceId, input.attempt], ['i1', 2]);
  assert.deepEqual(await next.expect('__subscribe'), { topic: 's' });
  next.send('__subscribed', { topic: 's' });
  next.send('s', 1);
  next.send('__ping');
  await next.expect('__pong');
  assert.deepEqual(got, [{ topic: 's', dropped: null }, 1]);
  assert.equal(spoke.stats.registrations, 2);
});

test('close codes: 4500 to 4999 stop, all else comes back', async (t) => {
  const { hub, connection, ended } = await join(t);
  let current = connection;
  for (const code of [1000, 1001, 1012, 4001, 4005, 4006, 4007, 4499]) {
    current.close(code, 'again');
    current = await hub.register();
  }
  current.close(4502, 'replaced');
  await assert.rejects(ended, (error) => error instanceof StoppedError && error.code === 4502);
});

test('a refused registration is the reason of the stop', async (t) => {
  const hub = await FakeHub.start(t);
  const ended = new Spoke(hub.url, QUICK).run();
  const connection = await hub.accept();
  const { requestId } = await connection.expect('call.requested');
  connection.send('call.error', { requestId, code: 'ACCESS_DENIED', message: 'not yours', retryable: false, details: { sent: false } });
  connection.close(4501, 'refused');
  await assert.rejects(ended, (error) => error.code === 4501 && error.cause.code === 'ACCESS_DENIED');
});

const REFUSED = (status, why) => ({ status, headers: { 'Hubspoke-Refused': why } });

test('HTTP refusals: only the header of a hub stops', async (t) => {
  if (platform) return t.diagnostic('a platform does not show the status');
  const hub = await FakeHub.start(t);
  const cannotRefuse = [
    { status: 503, headers: { 'Retry-After': '0' } }, { status: 500 }, { status: 401 }, { status: 403 },
    REFUSED(503, 'forbidden'), REFUSED(401, 'maybe'),
  ];
  for (const [status, why] of [[401, 'unauthenticated'], [403, 'forbidden']]) {
    hub.refusals.push(...cannotRefuse, REFUSED(status, why));
    await assert.rejects(new Spoke(hub.url, QUICK).run(), (error) => error instanceof StoppedError && error.code === status);
    assert.equal(hub.refusals.length, 0);
  }
  return undefined;
});

// Serves one spoke whose token function returns these tokens in turn, the last one for ever. The hub refuses all of
// them, or each that `refuses` names, by 4500 or, where the spoke can see it, by 401.
async function offer(t, tokens, { refuses = () => true, early = !platform } = {}) {
  const hub = await FakeHub.start(t);
  const offered = [];
  const token = async () => {
    offered.push(tokens[Math.min(offered.length, tokens.length - 1)]);
    if (early && refuses(offered.at(-1))) hub.refusals.push(REFUSED(401, 'unauthenticated'));
    return offered.at(-1);
  };
  const spoke = new Spoke(hub.url, { ...QUICK, token });
  t.after(() => spoke.stop({ timeout: 1 }));
  const ended = spoke.run();
  ended.catch(() => {});
  if (!early) {
    (async () => {
      for (;;) {
        const connection = await hub.accept();
        if (refuses(offered.at(-1))) connection.close(4500, 'unauthenticated: no such token');
        else await connection.register();
      }
    })();
  }
  return { hub, spoke, offered, ended };
}

for (const early of platform ? [false] : [false, true]) {
  const [name, code] = early ? ['401', 401] : ['4500', 4500];

  test(`${name} unauthenticated: the same token again is final`, async (t) => {
    const { ended, offered } = await offer(t, ['a', 'b', 'b', 'c'], { early });
    await assert.rejects(ended, (error) => error instanceof StoppedError && error.code === code);
    assert.deepEqual(offered, ['a', 'b', 'b']);
  });

  test(`${name} unauthenticated: three tokens over 30 s are final`, async (t) => {
    mock.timers.enable({ apis: ['Date'] });
    t.after(() => mock.timers.reset());
    const { ended, offered } = await offer(t, [...'abcdefgh'], {
      early,
      refuses: (token) => {
        if (token === 'e') mock.timers.tick(29_999);
        if (token === 'f') mock.timers.tick(1);
        return true;
      },
    });
    await assert.rejects(ended, (error) => error.code === code);
    assert.deepEqual(offered, [...'abcdef']);
  });
}

test('a refused token is replaced, and one that was accepted may be offered again', async (t) => {
  mock.timers.enable({ apis: ['Date'] });
  t.after(() => mock.timers.reset());
  let accepted = 'new';
  const { hub, spoke, ended, offered } = await offer(t, ['old', 'new'], { refuses: (token) => token !== accepted });
  let connection = platform ? undefined : await hub.register();
  await (spoke.state === 'registered' || reached(spoke, 'registered'));
  assert.deepEqual(offered, ['old', 'new']);
  if (platform) return; // the rest needs the connection, which the loop has
  accepted = '';
  connection.close(4005, 'credentials expired');
  while (offered.length < 5) await reached(spoke, 'connecting');
  accepted = 'new';
  connection = await hub.register();
  accepted = '';
  connection.close(4005, 'credentials expired');
  while (offered.length < 9) await reached(spoke, 'connecting');
  mock.timers.tick(30_000);
  await assert.rejects(ended, (error) => error.code === 401);
});

test('4500: every reason but unauthenticated is final', async (t) => {
  for (const reason of ['forbidden', 'origin not allowed: https://a.example', '', 'else']) {
    const hub = await FakeHub.start(t);
    const ended = new Spoke(hub.url, QUICK).run();
    (await hub.accept()).close(4500, reason);
    await assert.rejects(ended, (error) => error instanceof StoppedError && error.code === 4500 && error.message.includes(reason));
  }
});

test('Retry-After holds for its URL, and is capped', async (t) => {
  if (platform) return t.diagnostic('a platform does not show the header');
  const [one, two] = [await FakeHub.start(t), await FakeHub.start(t)];
  one.refusals.push({ status: 503, headers: { 'Retry-After': '86400' } });
  const spoke = new Spoke([one.url, two.url], QUICK);
  t.after(() => spoke.stop({ timeout: 1 }));
  spoke.run();
  for (let i = 0; i < 3; i++) (await two.register()).cut(); // the other URL is left out meanwhile

  const alone = await FakeHub.start(t);
  alone.refusals.push({ status: 503, headers: { 'Retry-After': '86400' } });
  const patient = new Spoke(alone.url, { ...QUICK, maxRetryAfter: 30 });
  t.after(() => patient.stop({ timeout: 1 }));
  const start = performance.now();
  patient.run();
  await alone.register();
  assert.ok(performance.now() - start >= 29);
  return undefined;
});

test('a token function that fails or hangs keeps stop() from nothing', async (t) => {
  const hub = await FakeHub.start(t);
  let asked = 0;
  const answers = [() => { throw new Error('no'); }, async () => { throw new Error('no'); }, () => new Promise(() => {})];
  const spoke = new Spoke(hub.url, { ...QUICK, token: () => answers[asked++]() });
  const ended = spoke.run();
  while (asked < 3) await reached(spoke, 'connecting');
  await spoke.stop();
  await ended;
});

const nested = (levels) => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

test('a value that is nested too deeply fails its own message, on the way in', async (t) => {
  const { connection, spoke } = await join(t, {
    options: { maxDepth: 3 },
    answer: { maxDepth: 9 },
    serve: (s) => s.handle('a.echo', {}, async (input) => input),
  });
  for (const more of [{ input: nested(4) }, { metadata: { a: nested(3) } }]) {
    connection.request('1', 'a.echo', null, more);
    const { code, details } = await connection.expect('call.error');
    assert.deepEqual([code, details], ['VALIDATION_ERROR', { sent: false }]);
  }
  connection.request('1', 'a.echo', nested(3));
  assert.deepEqual((await connection.expect('call.responded')).output.data, nested(3));

  const answered = async (frame) => {
    const answer = spoke.call('b.op');
    const { requestId } = await connection.expect('call.requested');
    connection.send(frame.code ? 'call.error' : 'call.responded', { requestId, ...frame });
    return answer;
  };
  const wrap = (data) => ({ output: { data, meta: { source: 'local' } } });
  assert.deepEqual(await answered(wrap(nested(3))), nested(3));
  await assert.rejects(answered(wrap(nested(4))), { code: 'EXECUTION_ERROR', sent: true });
  await assert.rejects(answered({ output: nested(4) }), { code: 'EXECUTION_ERROR', sent: true });
  await assert.rejects(answered({ code: 'NO_INK', details: { sent: false, a: nested(3) } }), { code: 'EXECUTION_ERROR', sent: false });
  await assert.rejects(answered({ code: 'NO_INK', details: { sent: false, a: nested(2) } }), {
    code: 'NO_INK', sent: false, details: { a: nested(2) },
  });
  const stream = spoke.stream('b.stream');
  const { requestId } = await connection.expect('call.requested');
  connection.send('call.responded', { requestId, output: nested(4) });
  assert.equal((await connection.expect('call.aborted')).requestId, requestId);
  await assert.rejects(stream.next(), { code: 'EXECUTION_ERROR', sent: true });

  const got = [];
  const { live } = spoke.subscribe('s', (payload) => got.push(payload), { onGap: (gap) => got.push(gap) });
  connection.send('__subscribed', await connection.expect('__subscribe'));
  await live;
  for (const payload of [nested(3), nested(4), 7]) connection.send('s', payload);
  connection.send('__ping');
  await connection.expect('__pong');
  assert.deepEqual(got, [nested(3), { topic: 's', dropped: 1 }, 7]);
  assert.equal(spoke.stats.invalid, 1);
});

test('a value that is nested too deeply for the hub is not sent', async (t) => {
  const { connection, spoke } = await join(t, {
    answer: { maxDepth: 3 },
    serve: (s) => {
      s.handle('a.deep', {}, async (levels) => nested(levels));
      s.handle('a.fails', {}, async (levels) => {
        throw new CallError('NO_INK', 'refill', { details: { a: nested(levels) }, retryable: true });
      });
      s.handleStream('a.stream', {}, async function* stream() { yield nested(4); });
    },
  });
  await assert.rejects(spoke.call('b.op', nested(4)), { code: 'VALIDATION_ERROR', sent: false });
  await assert.rejects(spoke.call('b.op', 1, { metadata: { a: nested(3) } }), { code: 'VALIDATION_ERROR', sent: false });
  await assert.rejects(spoke.stream('b.op', nested(4)).next(), { code: 'VALIDATION_ERROR', sent: false });
  assert.throws(() => spoke.publish('s', nested(4)), { code: 'VALIDATION_ERROR', sent: false });
  spoke.publish('s', [[new Date(0)]]); // an object that is a string in JSON
  assert.deepEqual((await connection.next()).payload, [['1970-01-01T00:00:00.000Z']]);
  connection.request('1', 'a.deep', 3);
  assert.deepEqual((await connection.expect('call.responded')).output.data, nested(3));
  for (const [operation, input] of [['a.deep', 4], ['a.stream', null]]) {
    connection.request('1', operation, input);
    const { code, details } = await connection.expect('call.error');
    assert.deepEqual([code, details], ['EXECUTION_ERROR', { sent: true }]);
  }
  connection.request('1', 'a.fails', 2);
  assert.equal((await connection.expect('call.error')).code, 'NO_INK');
  connection.request('1', 'a.fails', 3);
  const { message, ...rest } = await connection.expect('call.error');
  assert.deepEqual(rest, { requestId: '1', code: 'EXECUTION_ERROR', retryable: false, details: { sent: true } });
  assert.match(message, /^NO_INK: refill/);
  for (const maxDepth of [0, -1, 9901, 1.5]) assert.throws(() => new Spoke('ws://127.0.0.1', { maxDepth }), TypeError);
});

test('several hubs are tried in turn', async (t) => {
  const [one, two] = [await FakeHub.start(t), await FakeHub.start(t)];
  const spoke = new Spoke([one.url, two.url], QUICK);
  one.close();
  t.after(() => spoke.stop({ timeout: 1 }));
  spoke.run();
  const input = await (await two.accept()).register();
  assert.equal(input.attempt, 2);
  assert.equal(input.spokeId, undefined);
});

test('what is not a frame closes the connection', async (t) => {
  const { hub, connection } = await join(t, { options: { maxMessageBytes: 1000 } });
  connection.write(1, `{"type":"a","payload":${'['.repeat(9_999)}${']'.repeat(9_999)}}`); // is deep, and still a frame
  const bad = [
    [1, 'nonsense', 1007], [1, '[]', 1007], [1, '{"type":1}', 1007], [1, '{"type":"a\\u0007"}', 1007],
    [1, '{"type":"a","type":"b"}', 1007], [1, Buffer.from([0x22, 0xff, 0x22]), 1007],
    [1, `{"type":"a","payload":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 1007],
    [2, '{"type":"a"}', 1003], [1, 'x'.repeat(1000 + (64 << 10) + 1), 1009],
  ];
  let current = connection;
  for (const [opcode, body, code] of bad) {
    current.write(opcode, body);
    const closed = await current.closed();
    // A platform's WebSocket finds bad UTF-8 by itself, and takes only its own codes from us.
    if (!platform) assert.equal(closed.code, code, String(body).slice(0, 40));
    current = await hub.register();
  }
});

test('unknown and stray frames are ignored and counted', async (t) => {
  const { connection, spoke } = await join(t);
  connection.send('__new', {});
  connection.send('call.new', {});
  connection.send('call.responded', { requestId: 'nobody', output: 1 });
  connection.send('call.credit', { requestId: 'nobody', credit: 1 });
  connection.send('call.aborted', {});
  connection.send('call.requested', { requestId: 'x'.repeat(129), operationId: 'a' });
  connection.send('nobody.listens', 1);
  connection.send('__ping');
  await connection.expect('__pong');
  const { unknown, stray, invalid } = spoke.stats;
  assert.deepEqual({ unknown, stray, invalid }, { unknown: 2, stray: 3, invalid: 2 });
});

test('WebSocket: messages in parts, pings between them, empty and long ones', async (t) => {
  const { connection } = await join(t, { serve: (s) => s.handle('a.echo', {}, async (input) => input) });
  const text = Buffer.from(JSON.stringify({ type: 'call.requested', payload: { requestId: '1', operationId: 'a.echo', input: 'é' } }));
  const cut = text.indexOf(0xc3) + 1; // in the middle of a character
  connection.write(1, text.subarray(0, cut), { final: false });
  connection.write(9, 'hello');
  connection.write(0, '', { final: false });
  connection.write(0, text.subarray(cut));
  assert.equal(await connection.pong(), 'hello');
  assert.equal((await connection.expect('call.responded')).output.data, 'é');
  for (const size of [100, 126, 65535, 65536, 500_000]) {
    connection.request('2', 'a.echo', 'x'.repeat(size));
    assert.equal((await connection.expect('call.responded')).output.data.length, size);
  }
  connection.writeRaw(Buffer.from([0x83, 0x00])); // an opcode that does not exist
  const { code } = await connection.closed();
  assert.equal(code, platform ? 1006 : 1002);
});

test('heartbeat: a spoke that has sent nothing for the interval pings, whatever it receives', async (t) => {
  const { hub, connection } = await join(t, { options: { heartbeat: { interval: 20, timeout: 60_000 } } });
  const hears = setInterval(() => connection.send('__pong'), 1);
  t.after(() => clearInterval(hears));
  for (let i = 0; i < 5; i++) await connection.expect('__ping');
  connection.cut();
  await hub.accept();
});

test('heartbeat: a spoke that sends does not ping, and drops a hub that is silent', async (t) => {
  const heartbeat = { interval: 300, timeout: 100 };
  const { hub, connection, spoke } = await join(t, { options: { heartbeat, maxMessageBytes: 1600 } });
  const start = performance.now();
  const talks = setInterval(() => spoke.state === 'registered' && spoke.publish('s'), 20);
  t.after(() => clearInterval(talks));
  let count = 0;
  for (let frame = await connection.next(); frame.type !== 'closed'; frame = await connection.next()) {
    assert.equal(frame.type, 's');
    count++;
  }
  assert.ok(count > 3);
  assert.notEqual((await connection.closed()).code, 4001);
  // On a platform the largest message may still be on its way: 1600 bytes at 16 bytes per millisecond.
  assert.ok(performance.now() - start >= (platform ? 495 : 395));
  await hub.accept();
});

test('heartbeat: bytes in the middle of a message are life', async (t) => {
  if (platform) return t.diagnostic('a platform does not show them');
  const { connection } = await join(t, { options: { heartbeat: { interval: 200, timeout: 100 } } });
  const text = JSON.stringify({ type: '__ping', payload: 'x'.repeat(20) });
  connection.writeRaw(Buffer.from([0x81, text.length]));
  for (const byte of Buffer.from(text)) {
    connection.writeRaw(Buffer.from([byte]));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  let frame = await connection.next();
  while (frame.type === '__ping') frame = await connection.next();
  assert.equal(frame.type, '__pong');
  return undefined;
});

test('heartbeat: an event loop that was busy does not end a connection that speaks', async (t) => {
  const { connection, spoke } = await join(t, { options: { heartbeat: { interval: 150, timeout: 150 }, maxMessageBytes: 100 } });
  connection.send('__pong');
  for (const end = performance.now() + 600; performance.now() < end;);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(spoke.state, 'registered');
});

// A platform WebSocket that accepts data byte by byte and receives nothing after the registration.
class SlowWebSocket {
  static last;
  bufferedAmount = 0;

  constructor() {
    SlowWebSocket.last = this;
    setTimeout(() => this.onopen(), 0);
  }

  send(text) {
    const { type, payload } = JSON.parse(text);
    if (type !== 'call.requested' || payload.operationId !== 'hub.register') return;
    const answer = { requestId: payload.requestId, output: { data: { spokeId: 's' }, meta: { source: 'local' } } };
    setTimeout(() => this.onmessage({ data: JSON.stringify({ type: 'call.responded', payload: answer }) }), 0);
  }

  close() {
    this.closed = true;
    this.onclose?.({ code: 1006, reason: '' });
  }
}

test('heartbeat: on a platform a falling bufferedAmount is life', async (t) => {
  const options = { heartbeat: { interval: 1, timeout: 1_500 }, maxMessageBytes: 16, backoff: { min: 1e6, max: 1e6 } };
  const spoke = new Spoke('ws://127.0.0.1', { ...options, WebSocket: SlowWebSocket });
  const registered = reached(spoke, 'registered');
  spoke.run();
  t.after(() => spoke.stop({ timeout: 1 }));
  await registered;
  const start = performance.now();
  const socket = SlowWebSocket.last;
  socket.bufferedAmount = 1e9;
  const falls = setInterval(() => socket.bufferedAmount--, 10);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.equal(spoke.state, 'registered', 'lost while it fell');
  clearInterval(falls);
  await reached(spoke, 'waiting');
  assert.ok(performance.now() - start >= 3_500);
});

test('a draining hub is left to close, and its retryAfter is a lower bound', async (t) => {
  const { hub, connection, spoke } = await join(t, { serve: serveText });
  const draining = reached(spoke, 'draining');
  connection.send('__drain', { retryAfter: 60 });
  await draining;
  connection.request('1', 'text.wordcount', { text: '' });
  await connection.expect('call.responded');
  const start = performance.now();
  connection.close(1012);
  await hub.accept();
  assert.ok(performance.now() - start >= 58);
});

test('stop() drains: sends __drain, refuses new calls, finishes, closes with 4008', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const { connection, spoke, ended } = await join(t, { serve: (s) => s.handle('a.wait', {}, () => held) });
  connection.request('1', 'a.wait', null);
  connection.send('__ping');
  await connection.expect('__pong');
  const stopped = spoke.stop();
  await connection.expect('__drain');
  connection.request('2', 'a.wait', null);
  assert.equal((await connection.expect('call.error')).code, 'UNAVAILABLE');
  connection.request('2', 'a.wait', null, { parentRequestId: 'made up' });
  assert.equal((await connection.expect('call.error')).code, 'UNAVAILABLE');
  release('done');
  assert.equal((await connection.expect('call.responded')).output.data, 'done');
  assert.equal((await connection.closed()).code, 4008);
  await Promise.all([stopped, ended]);
  assert.equal(spoke.state, 'stopped');
  await assert.rejects(spoke.call('b.op'), { code: 'UNAVAILABLE', sent: false });
});

test('stop() still answers the calls that its own calls make, and leaves when its time is up', async (t) => {
  const { connection, spoke } = await join(t, { serve: serveText });
  const answer = spoke.call('b.op');
  answer.catch(() => {});
  const { requestId } = await connection.expect('call.requested');
  const stopped = spoke.stop({ timeout: 100 });
  await connection.expect('__drain');
  connection.request('1', 'text.wordcount', { text: '' }, { parentRequestId: requestId });
  await connection.expect('call.responded');
  assert.equal((await connection.closed()).code, 4008);
  await stopped;
  await assert.rejects(answer, { code: 'DISCONNECTED' });
});

test('a new operation registers again on the live connection', async (t) => {
  const { connection, spoke } = await join(t, { serve: serveText });
  spoke.handle('a.one', {}, async () => 1);
  spoke.handle('a.two', {}, async () => 2);
  const input = await connection.register();
  assert.deepEqual(input.operations.map((o) => o.name), ['text.wordcount', 'text.lines', 'a.one', 'a.two']);
});

test('run directly it says that it is registered, and leaves on a signal', async (t) => {
  const hub = await FakeHub.start(t);
  const file = fileURLToPath(new URL('spoke.mjs', import.meta.url));
  const child = spawn(process.execPath, [file, hub.url, '--id', 'js-1', '--token', 'S'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  const connection = await hub.register();
  const [line] = await once(child.stdout, 'data');
  assert.equal(String(line), 'registered as js-1\n');
  child.kill('SIGTERM');
  await connection.expect('__drain');
  assert.equal((await connection.closed()).code, 4008);
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
});
