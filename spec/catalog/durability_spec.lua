local client = require "spec.catalog.client"
local support = require "spec.support"

local function started(db)
  return support.run({ support.bin, "catalog", "--listen", "127.0.0.1:0", "--db", db }, { timeout = 20 })
end

describe("the catalog's file", function()
  it("holds every acknowledged write after kill -9 (architecture 3.4.2)", function()
    local catalog = client.start()
    catalog:blueprint("item", { n = { type = "number" } })
    for i = 1, 20 do
      assert.equal(200, (catalog:bulk("item",
        '{"entities":[{"identifier":"i' .. i .. '","properties":{"n":' .. i .. "}}]}")))
    end
    catalog:stop "KILL"
    local again = client.start(catalog.db)
    assert.equal(20, #again:identifiers "item")
    assert.equal(20, again:entity("item", "i20").properties.n)
    assert.is_nil(again:refusal("item", { identifier = "i21" }))
    assert.equal(0, again:stop())
  end)

  it("holds every acknowledged write of clients that were killed in the middle of many", function()
    local catalog = client.start()
    catalog:blueprint "item"
    local dir = support.tmpdir()
    catalog:ok("GET", "/v1/organization")
    -- each client writes one after the other and notes what was acknowledged; the server is killed while all three do
    local script = support.write(dir .. "/writer", [[
      i=0
      while :; do
        i=$((i+1))
        code=$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $2" \
          -H 'User-Agent: port-ocean/t/1/i/exporter' --data-binary '{"entities":[{"identifier":"'"$3-$i"'"}]}' \
          "$1/v1/blueprints/item/entities/bulk?upsert=true&merge=true")
        [ "$code" = 200 ] || exit 0
        echo "$3-$i"
      done]])
    local writers = {}
    for i = 1, 3 do
      writers[i] = support.spawn { "sh", script, catalog.url, catalog.token, "w" .. i }
      assert.equal("w" .. i .. "-1", writers[i].line)
    end
    catalog:stop "KILL"
    local again = client.start(catalog.db)
    local there = {}
    for _, name in ipairs(again:identifiers "item") do
      there[name] = true
    end
    for _, writer in ipairs(writers) do
      assert.equal(0, writer:wait(30))
      for name in writer:output():gmatch "[^\n]+" do
        assert.is_true(there[name], name .. " was acknowledged and is gone")
      end
    end
    assert.equal(0, again:stop())
  end)

  it("takes two clients at once, on the same entity too", function()
    local catalog = client.start()
    catalog:blueprint "item"
    local dir = support.tmpdir()
    local script = support.write(dir .. "/writer", [[
      for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        curl -s -H "Authorization: Bearer $2" -H 'User-Agent: port-ocean/t/1/i/exporter' --data-binary \
          '{"entities":[{"identifier":"shared","title":"'"$3"'"},{"identifier":"'"$3-$i"'"}]}' \
          "$1/v1/blueprints/item/entities/bulk?upsert=true&merge=true" || exit 1
        echo
      done]])
    catalog:ok("GET", "/v1/organization")
    local one = support.spawn { "sh", script, catalog.url, catalog.token, "one" }
    local two = support.spawn { "sh", script, catalog.url, catalog.token, "two" }
    assert.same({ 0, 0 }, { one:wait(60), two:wait(60) })
    assert.equal(41, #catalog:identifiers "item")
    assert.is_nil((one:output() .. two:output()):match '"ok":false')
    assert.equal(0, catalog:stop())
  end)

  it("outlives SIGTERM and SIGINT, which end the server with 0", function()
    local db
    for _, signal in ipairs { "TERM", "INT" } do
      local catalog = client.start(db)
      db = catalog.db
      if signal == "TERM" then
        catalog:blueprint "item"
      end
      catalog:bulk("item", { { identifier = signal } })
      assert.equal(0, catalog:stop(signal))
    end
    local catalog = client.start(db)
    assert.same({ "INT", "TERM" }, catalog:identifiers "item")
    assert.equal(0, catalog:stop())
  end)

  it("that another process holds is named, with what to do", function()
    local catalog = client.start()
    local second = started(catalog.db)
    assert.equal(1, second.code)
    assert.equal("", second.out)
    assert.matches("is open in another process", second.err)
    assert.is_not_nil(second.err:find(catalog.db, 1, true))
    catalog:blueprint "still" -- the first one works on
    assert.equal(0, catalog:stop())
  end)

  it("that is damaged, foreign, newer, a folder, or below no folder is refused, never overwritten", function()
    local dir = support.tmpdir()
    local garbage = ("this is no database. "):rep(400)
    support.write(dir .. "/garbage.db", garbage)
    local result = started(dir .. "/garbage.db")
    assert.equal(1, result.code)
    assert.matches("damaged or no database", result.err)
    assert.equal(garbage, support.read(dir .. "/garbage.db"))

    result = started(dir)
    assert.equal(1, result.code)
    assert.matches("cannot be opened", result.err)

    result = started(dir .. "/not/there/catalog.db")
    assert.equal(1, result.code)
    assert.matches("cannot be opened", result.err)
  end)

  it("that is of another program, or of a newer moontide, is refused", function()
    local catalog = client.start()
    assert.equal(0, catalog:stop())
    local bytes = support.read(catalog.db)
    local function with(offset, text) -- offsets of the header: SQLite's file format, section 1.3
      support.write(catalog.db, bytes:sub(1, offset) .. text .. bytes:sub(offset + #text + 1))
      return started(catalog.db)
    end
    local result = with(68, "\0\0\0\1")
    assert.equal(1, result.code)
    assert.matches("no catalog of moontide", result.err)
    result = with(60, "\0\0\0\99")
    assert.equal(1, result.code)
    assert.matches("newer moontide %(format 99", result.err)
  end)

  it("is made with its folder", function()
    local catalog = client.start(support.tmpdir() .. "/.moontide/catalog.db")
    assert.equal(0, catalog:stop())
    assert.is_true(support.exists(catalog.db))
  end)

  it("with a torn page is found out, without a crash", function()
    local catalog = client.start()
    catalog:blueprint("item", { text = { type = "string" } })
    local many = {}
    for i = 1, 200 do
      many[i] = { identifier = "i" .. i, properties = { text = ("x"):rep(300) } }
    end
    catalog:bulk("item", many)
    assert.equal(0, catalog:stop())
    local bytes = support.read(catalog.db)
    support.write(catalog.db, bytes:sub(1, 8192) .. ("\xff"):rep(#bytes - 8192))
    local result = support.spawn { support.bin, "catalog", "--listen", "127.0.0.1:0", "--db", catalog.db }
    if result.line then -- what it needs to start was whole
      local again = setmetatable({ process = result, url = result.line:match "%S+$" }, client)
      local status, answer = again:call("GET", "/v1/blueprints/item/entities")
      assert.equal(507, status)
      assert.equal("storage_failed", answer.error)
      assert.matches("damaged", answer.message)
      assert.equal(0, again:stop())
    else
      assert.equal(1, result:wait())
      assert.matches("damaged", select(2, result:output()))
    end
  end)

  it("on a full disk refuses the write with 507 and serves what it has", function()
    local catalog = client.start()
    catalog:blueprint("item", { text = { type = "string" } })
    catalog:bulk("item", { { identifier = "kept" } })
    assert.equal(0, catalog:stop())
    -- a limit on the size of files stands for the disk: SIGXFSZ is ignored, so the write fails
    local command = ("trap '' XFSZ; ulimit -f 400; exec %s catalog --listen 127.0.0.1:0 --db %s"):format(
      support.quote(support.bin), support.quote(catalog.db))
    local process = support.spawn { "sh", "-c", command }
    local full = setmetatable({ process = process, url = assert(process.line):match "%S+$" }, client)
    local body = { entities = {} }
    for i = 1, 20 do
      body.entities[i] = { identifier = "big" .. i, properties = { text = ("x"):rep(40000) } }
    end
    local status, answer = full:bulk("item", body.entities)
    assert.equal(507, status)
    assert.equal("storage_failed", answer.error)
    assert.same({ "kept" }, full:identifiers "item")
    assert.equal(200, (full:bulk("item", { { identifier = "small" } })))
    assert.same({ "kept", "small" }, full:identifiers "item")
    assert.equal(0, full:stop())
  end)
end)

describe("moontide catalog", function()
  it("refuses an address that is none, or is taken", function()
    for _, address in ipairs { "127.0.0.1:99999", "127.0.0.1:x", "::1:80", "[::1", "127.0.0.1:-1" } do
      local result = support.run({ support.bin, "catalog", "--listen", address, "--db", support.tmpdir() .. "/c.db" },
        { timeout = 20 })
      assert.equal(2, result.code, address)
      assert.matches("%-%-listen", result.err)
    end
    local catalog = client.start()
    local taken = support.run({ support.bin, "catalog", "--listen", catalog.url:match "//(.*)", "--db",
      support.tmpdir() .. "/c.db" },
      { timeout = 20 })
    assert.equal(1, taken.code)
    assert.matches("cannot listen", taken.err)
    assert.equal(0, catalog:stop())
    assert.equal(2, support.run({ support.bin, "catalog", "what" }, { timeout = 20 }).code)
  end)

  it("warns when others can reach it, and not on loopback", function()
    local process = support.spawn { support.bin, "catalog", "--listen", "0.0.0.0:0", "--db",
      support.tmpdir() .. "/c.db" }
    assert.matches("^listening http://0%.0%.0%.0:%d+$", process.line)
    assert.equal(0, process:stop())
    assert.matches("any non%-empty credentials", select(2, process:output()))
    local catalog = client.start()
    assert.equal(0, catalog:stop())
    assert.is_nil(select(2, catalog.process:output()):match "credentials")
  end)
end)
