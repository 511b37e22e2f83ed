// A server that answers as a case says, for the specs of the Lua library. Prints "listening URL" first.
//
//   PUT /__routes   {"GET /a?b=c": [answer, …], …}: the answers to a method and URL, one a request, the last one stays. An answer is
//                   {status, headers, json | text, delay (ms), reset, hold}; {base} in a header or text is this server's URL. Unknown
//                   URLs get 404. Forgets the log.
//   GET /__log      [{method, url, headers, body, ms, active}], oldest first; active: requests under way, this one included
//   POST /__release answers those with hold
import http from 'node:http'

let routes = {}, counts = new Map(), log = [], active = 0, held = []
const started = Date.now()

const read = async (req) => {
  const parts = []
  for await (const part of req) parts.push(part)
  return Buffer.concat(parts).toString()
}

const server = http.createServer(async (req, res) => {
  const body = await read(req)
  const base = `http://127.0.0.1:${server.address().port}`
  if (req.url === '/__routes') {
    routes = JSON.parse(body)
    counts = new Map()
    log = []
    return res.end()
  }
  if (req.url === '/__log') return res.end(JSON.stringify(log))
  if (req.url === '/__release') {
    for (const answer of held) answer()
    held = []
    return res.end()
  }
  const name = `${req.method} ${req.url}`
  active++
  res.on('close', () => active--)
  log.push({ method: req.method, url: req.url, headers: req.headers, body, ms: Date.now() - started, active })
  const list = routes[name] ?? [{ status: 404, json: { message: 'no such route', route: name } }]
  const n = counts.get(name) ?? 0
  counts.set(name, n + 1)
  const a = list[Math.min(n, list.length - 1)]
  const answer = () => {
    if (a.reset) return res.socket.resetAndDestroy()
    const headers = {}
    for (const [k, v] of Object.entries(a.headers ?? {})) headers[k] = v.replaceAll('{base}', base)
    const json = a.json !== undefined
    if (json) headers['content-type'] ??= 'application/json'
    const text = (json ? JSON.stringify(a.json) : a.text ?? '').replaceAll('{base}', base)
    res.writeHead(a.status ?? 200, headers)
    res.end(text)
  }
  if (a.hold) held.push(answer)
  else if (a.delay) setTimeout(answer, a.delay)
  else answer()
})
server.keepAliveTimeout = 60000
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`))
