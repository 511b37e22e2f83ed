#!/usr/bin/env node
// Clients that behave badly, over raw sockets.
//
//   node guests.mjs PORT CASE [ARG…]
//
// Prints one JSON line: what the server answered, and after how many milliseconds the connection closed.
import net from 'node:net';

const [port, name, ...args] = process.argv.slice(2);

function connect() {
  const c = { text: '', closed: false, error: null, start: Date.now() };
  c.socket = net.connect({ port: +port, host: '127.0.0.1' });
  c.connected = new Promise(done => c.socket.on('connect', done).on('error', done));
  c.over = new Promise(done => c.socket.on('close', () => { c.closed = true; c.ms = Date.now() - c.start; done(c); }));
  c.socket.on('data', d => { c.text += d.toString('latin1'); for (const w of c.waiting.splice(0)) w(); });
  c.socket.on('error', e => { c.error = e.code; });
  c.socket.on('end', () => c.socket.end());
  c.waiting = [];
  return c;
}
// Waits until the answer holds what is looked for, or the connection closes.
async function until(c, test) {
  while (!test(c.text) && !c.closed) await Promise.race([new Promise(done => c.waiting.push(done)), c.over]);
}
const statuses = text => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(m => +m[1]);
const report = (c, more) => ({ statuses: statuses(c.text), ms: c.ms, error: c.error, text: c.text.slice(0, 2000), ...more });
const write = (c, text) => new Promise(done => c.socket.write(text, 'latin1', done));

// Sends a piece every few milliseconds for as long as the connection is there.
async function drip(c, pieces, every) {
  let sent = 0;
  for (const piece of pieces) {
    if (c.closed || c.socket.destroyed) break;
    await write(c, piece);
    sent += piece.length;
    await Promise.race([new Promise(done => setTimeout(done, every)), c.over]);
  }
  return sent;
}
function* forever(piece) { for (;;) yield piece; }
function* letters(text) { yield* text; }

const cases = {
  // A text at once, then what comes until the close.
  async send(text) {
    const c = connect();
    await c.connected;
    await write(c, JSON.parse(`"${text}"`));
    return report(await c.over);
  },
  async drip(text, every) { // byte by byte
    const c = connect();
    await c.connected;
    const sent = await drip(c, letters(JSON.parse(`"${text}"`)), +every);
    return report(await c.over, { sent });
  },
  async endless(head, piece, every) {
    const c = connect();
    await c.connected;
    await write(c, JSON.parse(`"${head}"`));
    const sent = await drip(c, forever(JSON.parse(`"${piece}"`)), +every);
    return report(await c.over, { sent });
  },
  async silent() {
    return report(await connect().over);
  },
  async keep(first, every, times) { // several requests over one connection, a pause before each
    const c = connect();
    await c.connected;
    for (let i = 0; i < +times; i++) {
      await drip(c, letters(JSON.parse(`"${first}"`)), +every);
      await until(c, t => statuses(t).length > i && /\r\n\r\n[^]*}$/.test(t));
    }
    c.socket.end();
    return report(await c.over);
  },
  async garbage(bytes) {
    const c = connect();
    await c.connected;
    let x = 1;
    const b = Buffer.alloc(+bytes);
    for (let i = 0; i < b.length; i++) { x = (x * 1103515245 + 12345) & 0x7fffffff; b[i] = x >> 16; }
    await new Promise(done => c.socket.write(b, done));
    c.socket.end();
    return report(await c.over);
  },
  // N connections that say nothing, and one more that asks: when is it answered?
  async idle(n) {
    const crowd = Array.from({ length: +n }, connect);
    await Promise.all(crowd.map(c => c.connected));
    const asker = connect();
    await asker.connected;
    await write(asker, 'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await asker.over;
    await Promise.all(crowd.map(c => c.over));
    return report(asker, { most: Math.max(...crowd.map(c => c.ms)), resets: crowd.filter(c => c.error).length });
  },
  // N connections at once, each with a request; all are served in the end.
  async flood(n) {
    const crowd = Array.from({ length: +n }, connect);
    await Promise.all(crowd.map(async c => {
      await c.connected;
      await write(c, 'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      await c.over;
    }));
    return { served: crowd.filter(c => statuses(c.text)[0] === 200).length };
  },
  // N connections that say nothing fill the server; one more is answered only when one of them goes.
  async full(n) {
    const crowd = Array.from({ length: +n }, connect);
    await Promise.all(crowd.map(c => c.connected));
    await write(crowd[0], 'GET /echo HTTP/1.1\r\nHost: x\r\n\r\n'); // answered: it is accepted, as are those before
    await until(crowd[0], t => /}$/.test(t));
    const asker = connect();
    await asker.connected;
    await write(asker, 'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const early = await Promise.race([asker.over.then(() => true), new Promise(done => setTimeout(done, 150, false))]);
    crowd[0].socket.end();
    await asker.over;
    return { early, statuses: statuses(asker.text), ms: asker.ms };
  },
  async pipeline(n) {
    const c = connect();
    await c.connected;
    let text = '';
    for (let i = 0; i < +n; i++)
      text += `GET /echo?q=${i} HTTP/1.1\r\nHost: x\r\n${i === n - 1 ? 'Connection: close\r\n' : ''}\r\n`;
    await write(c, text);
    await c.over;
    return { order: [...c.text.matchAll(/"q":"(\d+)"/g)].map(m => +m[1]), statuses: statuses(c.text) };
  },
  // Closes after that many bytes of a request, many times.
  async early(text, times) {
    const request = JSON.parse(`"${text}"`);
    for (let i = 0; i < +times; i++) {
      const c = connect();
      await c.connected;
      await write(c, request.slice(0, i % (request.length + 1)));
      if (i % 2) c.socket.resetAndDestroy(); else c.socket.destroy();
      await c.over;
    }
    return { done: true };
  },
};
console.log(JSON.stringify(await cases[name](...args)));
process.exit(0);
