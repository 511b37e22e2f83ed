-- Log lines that go to Port: in batches, by a timer, again when Port fails, bounded, and not past the end.
local support = require "spec.support"

describe("log lines to Port", function()
  local port
  local function start(...)
    port = support.spawn { "node", support.root .. "/spec/port/port.mjs", ... }
    port.url = assert(port.line and port.line:match "listening (%S+)")
  end
  after_each(function()
    port:stop "KILL"
  end)

  -- options: interval, retry (ms), max, seconds; steps as words. Gives uploads (with .logs), all logs, stderr, the end's ms.
  local function ship(options, ...)
    local result = support.run({ support.driver "shipping_driver", port.url, tostring(options.interval or 60000),
      tostring(options.retry or 10), tostring(options.max or 0), tostring(options.seconds or 10), ... }, { timeout = 60 })
    assert.equal(0, result.code, result.err)
    local log = support.json.decode(support.request("GET", port.url .. "/__log").body)
    local all = {}
    for _, upload in ipairs(log.uploads) do
      upload.logs = support.json.decode(upload.body).logs
      if upload.status == "text" or tostring(upload.status):match "^2" then
        table.move(upload.logs, 1, #upload.logs, #all + 1, all)
      end
    end
    return { uploads = log.uploads, logs = all, err = result.err, gone = tonumber(result.out:match "gone (%d+)"), tokens = log.tokens }
  end

  local function sizes(shipped)
    local list = {}
    for i, upload in ipairs(shipped.uploads) do list[i] = #upload.logs end
    return list
  end

  local function numbers(logs)
    local list = {}
    for _, log in ipairs(logs) do list[#list + 1] = tonumber(log.message:match "line (%d+)") end
    return list
  end

  local function range(from, to)
    local list = {}
    for i = from, to do list[#list + 1] = i end
    return list
  end

  it("A-LOG-01, R-LOG-02 carry message, level, time, host, instance and what the thread entered", function()
    start()
    local shipped = ship({}, "address:/ingest", "log:1", "none:1")
    local log = shipped.logs[1]
    assert.equal("log line 0, [REDACTED]", log.message) -- masked, without its line end
    assert.equal("WARNING", log.level)
    assert.is_truthy(log.timestamp:match "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$")
    assert.is_truthy(log.extra.instance:match "^%x+%-%x+%-4%x+%-%x+%-%x+$")
    assert.is_true(#log.extra.hostname > 0)
    assert.equal("mine", log.extra.integration)
    assert.equal("run-1", log.extra.run)
    assert.equal("repository", log.extra.kind)
    assert.equal(7, log.extra.generation)
    local bare = shipped.logs[2]
    assert.equal(log.extra.instance, bare.extra.instance)
    bare.extra.hostname, bare.extra.instance = nil, nil
    assert.same({}, bare.extra)
    assert.equal("Bearer token-number-1", shipped.uploads[1].authorization)
    assert.equal("port-ocean/t/1/mine", shipped.uploads[1].agent)
  end)

  it("R-LOG-04 go in batches of 100 as soon as there are so many, the rest at the end", function()
    start()
    local shipped = ship({}, "address:/ingest", "log:250", "get:/__await?records=200")
    assert.same({ 100, 100, 50 }, sizes(shipped))
    assert.same(range(0, 249), numbers(shipped.logs))
  end)

  it("R-LOG-04 (flaw mended) go after the interval also when nothing more is logged", function()
    start()
    local shipped = ship({ interval = 30 }, "address:/ingest", "log:3", "get:/__await?records=3", "log:1", "get:/__await?records=4")
    assert.same(range(0, 3), numbers(shipped.logs))
    assert.equal(0, #shipped.err:gsub("[^\n]+ line %d+, [^\n]+\n", ""), shipped.err)
  end)

  it("wait for the address, and are not sent where there is none", function()
    start()
    assert.same(range(0, 119), numbers(ship({}, "log:120", "address:/ingest").logs))
    port:stop "KILL"
    start()
    local shipped = ship({}, "log:120", "address:-", "log:500", "get:/__await?records=0")
    assert.same({}, shipped.uploads)
    assert.equal(0, shipped.tokens)
    assert.is_true(shipped.gone < 1000, shipped.gone)
    assert.same({}, ship({}, "log:5").uploads) -- never told
  end)

  it("R-LOG-05, R-LOG-08 leave out local lines, those below the console's level and those of other integrations", function()
    start()
    local shipped = ship({}, "address:/ingest", "other:2", "local:2", "debug:2", "log:1", "none:1")
    local messages = {}
    for i, log in ipairs(shipped.logs) do messages[i] = log.message:match "^%a+" end
    assert.same({ "log", "none" }, messages)
  end)

  it("A-LOG-02 (flaw mended) are sent again after errors, in their order and none twice; it is said once, and not shipped", function()
    start("--ingest", "500,reset,429,503,200")
    local shipped = ship({ retry = 5 }, "address:/ingest", "log:150", "get:/__await?records=100")
    assert.same(range(0, 149), numbers(shipped.logs))
    assert.equal(150, #shipped.logs)
    assert.equal(1, select(2, shipped.err:gsub("do not reach Port", "")), shipped.err)
    assert.equal(1, select(2, shipped.err:gsub("takes log lines again", "")), shipped.err)
    for i = 2, 5 do assert.equal(shipped.uploads[1].body, shipped.uploads[i].body) end
  end)

  it("wait longer from attempt to attempt", function()
    start("--ingest", "500,500,500,500,200")
    local uploads = ship({ retry = 40 }, "address:/ingest", "log:100", "get:/__await?records=100").uploads
    for i, least in ipairs { 40, 80, 160, 320 } do
      assert.is_true(uploads[i + 1].ms - uploads[i].ms >= least - 5, uploads[i + 1].ms - uploads[i].ms)
    end
  end)

  it("that Port refuses for good are dropped, with a line on stderr, and the others go on", function()
    start("--ingest", "413,200")
    local shipped = ship({}, "address:/ingest", "log:150", "get:/__await?uploads=1")
    assert.same(range(100, 149), numbers(shipped.logs))
    assert.is_truthy(shipped.err:find("100 log lines are lost: Port answered POST", 1, true), shipped.err)
    assert.is_truthy(shipped.err:find("status 413", 1, true), shipped.err)
  end)

  it("are kept up to a number; the oldest make room, which is said once and counted when Port takes lines again", function()
    start()
    local shipped = ship({ max = 50, interval = 5 }, "log:200", "address:/ingest", "get:/__await?records=51")
    local last = table.remove(shipped.logs)
    assert.same(range(150, 199), numbers(shipped.logs))
    assert.equal("Port takes log lines again; 150 were dropped meanwhile", last.message)
    assert.equal("mine", last.extra.integration)
    assert.equal(1, select(2, shipped.err:gsub("the queue is full", "")), shipped.err)
  end)

  it("are kept up to 8 MB, and sent in bodies of about 1 MB", function()
    start()
    local steps = {}
    for i = 1, 200 do steps[i] = "long:60000" end
    steps[#steps + 1] = "address:/ingest"
    local shipped = ship({ interval = 5, seconds = 30 }, table.unpack(steps))
    local bytes = 0
    for _, upload in ipairs(shipped.uploads) do
      assert.is_true(#upload.body < 1100000, #upload.body)
      bytes = bytes + #upload.body
    end
    assert.is_true(bytes > 7.5 * 1024 * 1024 and bytes < 8.2 * 1024 * 1024, bytes)
    assert.equal("199 ", shipped.logs[#shipped.logs].message:sub(1, 4)) -- the newest
  end)

  it("are taken by an answer that is no JSON", function()
    start("--ingest", "text")
    assert.same({ 3 }, sizes(ship({}, "address:/ingest", "log:3")))
  end)

  it("A-NET-11 of refused credentials stay, and the token is asked for once", function()
    start("--token", "401")
    local shipped = ship({ retry = 5, seconds = 0.3 }, "address:/ingest", "log:100")
    assert.same({}, shipped.uploads)
    assert.equal(1, shipped.tokens)
    assert.is_truthy(shipped.err:find("CLIENT_ID", 1, true), shipped.err)
    assert.is_truthy(shipped.err:find("100 log lines did not reach Port before the end", 1, true), shipped.err)
    assert.is_true(shipped.gone >= 290 and shipped.gone < 2000, shipped.gone)
  end)

  describe("at the end", function()
    it("are sent once more at once, whatever the back-off was", function()
      start("--ingest", "500,500,200")
      local shipped = ship({ retry = 30000, seconds = 20 }, "address:/ingest", "log:100", "get:/__await?uploads=1")
      assert.equal(100, #shipped.logs)
      assert.is_true(shipped.gone < 5000, shipped.gone)
    end)
    it("hold the process no longer than allowed when Port does not answer", function()
      start("--ingest", "hold")
      local shipped = ship({ seconds = 0.3 }, "address:/ingest", "log:130", "get:/__await?uploads=1")
      assert.is_true(shipped.gone >= 290 and shipped.gone < 2000, shipped.gone)
      assert.is_truthy(shipped.err:find("130 log lines did not reach Port before the end", 1, true), shipped.err)
    end)
    it("hold it no longer when all callers are taken", function()
      start()
      local shipped = ship({ seconds = 0.3 }, "busy", "address:/ingest", "log:130")
      assert.is_true(shipped.gone >= 290 and shipped.gone < 2000, shipped.gone)
      assert.same({}, shipped.uploads)
    end)
    it("hold it no longer when Port keeps failing", function()
      start("--ingest", "500")
      local shipped = ship({ seconds = 0.3, retry = 10 }, "address:/ingest", "log:5")
      assert.is_true(shipped.gone >= 290 and shipped.gone < 2000, shipped.gone)
      assert.is_true(#shipped.uploads >= 3, #shipped.uploads)
    end)
    it("are left when no time is given", function()
      start("--ingest", "hold")
      local shipped = ship({ seconds = 0 }, "address:/ingest", "log:130", "get:/__await?uploads=1")
      assert.is_true(shipped.gone < 500, shipped.gone)
    end)
  end)
end)
