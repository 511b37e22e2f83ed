-- Hot reload: what a save, a signal or POST /reload does, and that a failure leaves everything as it was.
local support = require "spec.support"
local sync = require "spec.support.sync"
local service = require "spec.service.process"

local case = service.case

-- A bundle that needs no network: one kind, `count` items whose label is the text.
local function main(label, count)
  return ([[
local tide = require "moontide"
tide.on_resync("item", function()
  local batch = {}
  for id = 1, %d do
    batch[id] = { id = id, name = "%s", url = "https://example.com/" .. id }
  end
  return batch
end)
]]):format(count or 3, label)
end

local function titles(entities)
  local found = {}
  for id, entity in pairs(entities) do
    found[#found + 1] = id .. "=" .. entity.title
  end
  table.sort(found)
  return table.concat(found, " ")
end

describe("a reload of moontide run", function()
  local port, bundle
  local spec = "type: demo\n"

  before_each(function()
    port = service.port()
    bundle = service.bundle { main = main "one", spec = spec }
  end)

  after_each(function()
    port:stop()
  end)

  local function generation(run)
    return run:bundle().generation.number
  end

  -- POST /reload, which must say this of the only bundle.
  local function reloads(run, result)
    local status, bundles = run:reload()
    assert.are.equal(1, #bundles)
    assert.are.equal("demo", bundles[1].name)
    assert.are.equal(result, bundles[1].result, tostring(bundles[1].error))
    assert.are.equal(result == "refused" and 422 or 200, status)
    return bundles[1]
  end

  describe("asked for by POST /reload", function()
    it("takes new Lua, a new mapping, a new configuration, and says when nothing changed", case(function(start)
      local run = start(bundle, { port = port, args = { "--local-mapping" }, speed = 1440 })
      port:await_states "running completed"
      assert.are.equal(1, generation(run))
      reloads(run, "unchanged")
      assert.are.equal(1, generation(run))

      support.write(bundle .. "/main.lua", main "two")
      assert.are.equal(2, reloads(run, "reloaded").generation)
      port:request()
      port:await_states "running completed running completed"
      assert.are.equal("1=two 2=two 3=two", titles(port:entities()))

      local before = run:bundle()
      support.write(bundle .. "/.port/resources/port-app-config.yml", (sync.mapping:gsub("title: %.name", "title: .name + \"!\"")))
      assert.are.equal(3, reloads(run, "reloaded").generation)
      assert.are_not.equal(before.mapping.digest, run:bundle().mapping.digest)
      port:request()
      port:await_states "running completed running completed running completed"
      assert.are.equal("1=two! 2=two! 3=two!", titles(port:entities()))

      support.write(bundle .. "/config.yaml", "scheduledResyncInterval: 60\n")
      assert.are.equal(4, reloads(run, "reloaded").generation)
      assert.are.equal(3, run:bundle().reloads.done)
      assert.are.equal(0, run:bundle().reloads.refused)
      assert.are.equal(3, run:metric 'moontide_reloads_total{integration="my-demo-integration",result="reloaded"}')
      assert.are.equal(4, run:metric 'moontide_generation{integration="my-demo-integration"}')
      assert.are.equal(0, run:stop())
    end))

    local broken = {
      ["a syntax error"] = { file = "main.lua", text = 'local tide = require "moontide"\nlocal x = = 1\n',
        error = "main.lua:2: unexpected symbol near '='", at = "main.lua", line = 2 },
      ["an error while it loads"] = { file = "main.lua", text = 'local tide = require "moontide"\n\n\nerror "no luck"\n',
        error = "main.lua:4: no luck", at = "main.lua", line = 4 },
      ["a module that is missing"] = { file = "main.lua", text = 'require "nothing.here"\n', error = "nothing.here" },
      ["a load that does not end"] = { file = "main.lua", text = "while true do end\n", error = "main.lua", seconds = 30 },
      ["I/O while it loads"] = { file = "main.lua",
        text = 'local tide = require "moontide"\ntide.http.client({ base_url = "http://127.0.0.1:9" }):get("/")\n', error = "load" },
      ["a mapping that is no YAML"] = { file = ".port/resources/port-app-config.yml", text = "resources:\n  - kind: [\n",
        error = "port-app-config.yml" },
      ["a mapping that does not compile"] = { file = ".port/resources/port-app-config.yml",
        text = sync.mapping:gsub("title: %.name", "title: .name | nosuch"), error = "nosuch" },
      ["a mapping that is half written"] = { file = ".port/resources/port-app-config.yml",
        text = sync.mapping:sub(1, #sync.mapping // 2), error = "port-app-config.yml" },
      ["a spec that is no YAML"] = { file = ".port/spec.yaml", text = "type: [\n", error = "spec.yaml" },
      ["a value that is missing"] = { file = ".port/spec.yaml",
        text = "type: demo\nconfigurations:\n  - name: apiUrl\n    type: url\n    required: true\n", error = "apiUrl" },
      ["another identity"] = { file = ".port/spec.yaml", text = "type: other\n", error = "restart" },
      ["a configuration that is no YAML"] = { file = "config.yaml", text = "a: [\n", error = "config.yaml" },
      ["a file that is binary"] = { file = "main.lua", text = "\27Lua\0\1\2", error = "main.lua" },
    }
    for what, b in pairs(broken) do
      it("refuses " .. what .. ", and leaves the old one at work", case(function(start)
        local run = start(bundle, { port = port, args = { "--local-mapping" }, speed = 1440 })
        port:await_states "running completed"
        local good = support.read(bundle .. "/" .. b.file)
        local digest = run:bundle().generation.digest
        support.write(bundle .. "/" .. b.file, b.text)
        local refused = reloads(run, "refused")
        assert.are.equal(1, refused.generation)
        assert.is_truthy(refused.error:find(b.error, 1, true), refused.error)

        local now = run:bundle()
        assert.are.equal(1, now.generation.number)
        assert.are.equal(digest, now.generation.digest)
        assert.are.equal(refused.error, now.refused.error)
        assert.matches("^%d%d%d%d%-", now.refused.at)
        if b.at then
          assert.are.equal(b.at, now.refused.file)
          assert.are.equal(b.line, now.refused.line)
        end
        assert.are.equal(1, now.reloads.refused)
        assert.are.equal(1, run:metric 'moontide_reloads_total{integration="my-demo-integration",result="refused"}')
        assert.is_truthy(run:err():find("refused demo", 1, true))
        assert.are.equal(200, support.request("GET", run.public .. "/health/ready").status)
        port:request()
        port:await_states "running completed running completed"
        assert.are.equal("1=one 2=one 3=one", titles(port:entities()))

        if good then
          support.write(bundle .. "/" .. b.file, good)
        else
          os.remove(bundle .. "/" .. b.file)
        end
        reloads(run, "unchanged")
        assert.are.equal(support.json.null, run:bundle().refused)
        support.write(bundle .. "/main.lua", main "three")
        assert.are.equal(2, reloads(run, "reloaded").generation)
        assert.are.equal(0, run:stop())
      end))
    end

    it("refuses a bundle that is gone, and a folder in the place of main.lua", case(function(start)
      local run = start(bundle, { port = port })
      port:await_states "running completed"
      os.rename(bundle, bundle .. ".away")
      assert.is_truthy(reloads(run, "refused").error:find(bundle, 1, true))
      os.rename(bundle .. ".away", bundle)
      reloads(run, "unchanged")
      os.remove(bundle .. "/main.lua")
      assert.matches("main.lua", reloads(run, "refused").error)
      os.execute("mkdir " .. support.quote(bundle .. "/main.lua"))
      assert.matches("main.lua", reloads(run, "refused").error)
      os.execute("rmdir " .. support.quote(bundle .. "/main.lua"))
      support.write(bundle .. "/main.lua", main "two")
      assert.are.equal(2, reloads(run, "reloaded").generation)
      assert.are.equal(0, run:stop())
    end))

    it("gives two who ask at the same time an answer each", case(function(start)
      local run = start(bundle, { port = port })
      support.write(bundle .. "/main.lua", main "two")
      local out = support.run({ "sh", "-c", 'for i in 1 2 3 4 5; do curl -s -o /dev/null -w "%{http_code} " -X POST "$0" & done; wait',
        run.admin .. "/reload" }).out
      assert.are.equal("200 200 200 200 200 ", out)
      assert.are.equal(2, generation(run))
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("asked for by SIGHUP", function()
    it("is said on the console", case(function(start)
      local run = start(bundle, { port = port })
      port:await_states "running completed"
      support.write(bundle .. "/main.lua", main "two")
      run:signal "HUP"
      assert.matches("^reloaded demo: main%.lua %(generation 2, %d+ ms%)", run:await_err "reloaded demo")
      support.write(bundle .. "/main.lua", "x = = 1\n")
      run:signal "HUP"
      run:await_err "refused demo.*main%.lua:1: "
      assert.are.equal(2, generation(run))
      assert.are.equal(0, run:stop())
    end))
  end)

  describe("while a resync is at work", function()
    it("lets it end on the old generation; the next one is of the new", case(function(start)
      local api = sync.api()
      api:put("item", sync.items(50))
      bundle = service.bundle()
      api:fault { { path = "page=2", kind = "stall" } }
      local run = start(bundle, { port = port, api = api, speed = 1440 })
      support.await("the second page", function()
        local log = api:log()
        return #log > 0 and log[#log].fault == "stall"
      end)
      support.write(bundle .. "/main.lua", main "new")
      assert.are.equal(2, reloads(run, "reloaded").generation)
      assert.are.equal("running", run:bundle().resync.state)
      assert.are.equal("running", port:states())
      port:request()
      port:await_states "running aborted running completed"
      assert.are.equal("1=new 2=new 3=new", titles(port:entities()))
      assert.are.equal(0, run:stop())
      api:stop "KILL"
    end))
  end)

  describe("with --watch", function()
    it("follows a save: reloaded, what changed at Port, and the counts, within 200 ms to the line", case(function(start)
      local run = start(bundle, { port = port, args = { "--watch" } })
      port:await_states "running completed"
      support.write(bundle .. "/main.lua", main("two", 4))
      local said = run:await_err "reloaded demo: main%.lua %(generation 2, %d+ ms%).*resync of my%-demo%-integration %(reload%) complete"
      assert.matches("\n *%+ item/4\n", said)
      assert.matches("\n *~ item/1\n", said)
      assert.matches("1 created, 3 updated, 0 unchanged, 0 deleted", said)
      support.write(bundle .. "/main.lua", main("two", 2))
      said = run:await_err "generation 3.*%(reload%) complete"
      assert.matches("\n *%- item/3", said)
      assert.are.equal("1=two 2=two", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("resyncs with a mapping that is saved, without a new Lua state", case(function(start)
      local run = start(bundle, { port = port, args = { "--watch" } })
      port:await_states "running completed"
      support.write(bundle .. "/.port/resources/port-app-config.yml", (sync.mapping:gsub("title: %.name", 'title: .name + "?"')))
      run:await_err "reloaded demo: %.port/resources/port%-app%-config%.yml.*%(reload%) complete: 0 created, 3 updated"
      assert.are.equal("1=one? 2=one? 3=one?", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("says what is wrong with a save, and goes on when it is mended, as editors save", case(function(start)
      local run = start(bundle, { port = port, args = { "--watch" } })
      port:await_states "running completed"
      support.write(bundle .. "/main.lua", "local x = = 1\n")
      run:await_err "refused demo.*main%.lua:1: "
      assert.are.equal(1, generation(run))
      support.write(bundle .. "/main.lua.new", main "two")
      os.rename(bundle .. "/main.lua.new", bundle .. "/main.lua")
      run:await_err "reloaded demo: main%.lua.*%(reload%) complete"
      assert.are.equal(support.json.null, run:bundle().refused)
      assert.are.equal("1=two 2=two 3=two", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("starts with a bundle that is broken, is not ready, and becomes so by a save", case(function(start)
      support.write(bundle .. "/main.lua", "local x = = 1\n")
      local run = start(bundle, { port = port, args = { "--watch" } })
      run:await_err "refused demo.*main%.lua:1: "
      assert.are.equal(503, support.request("GET", run.public .. "/health/ready").status)
      support.write(bundle .. "/main.lua", main "two")
      port:await_states "running completed"
      run:ready()
      assert.are.equal("1=two 2=two 3=two", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("finds the folder again after it was removed and made anew", case(function(start)
      local run = start(bundle, { port = port, args = { "--watch" } })
      port:await_states "running completed"
      os.rename(bundle, bundle .. ".away")
      run:await_err "refused demo"
      service.bundle { dir = bundle, main = main "two", spec = spec }
      run:await_err "reloaded demo.*%(reload%) complete"
      assert.are.equal("1=two 2=two 3=two", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("follows a packed file that is replaced, in place and by a rename, and refuses a half of it", case(function(start)
      local packed = support.tmpdir() .. "/demo.mtb"
      local function pack(to)
        local res = support.run { support.bin, "pack", bundle, "-o", to }
        assert.are.equal(0, res.code, res.err)
      end
      pack(packed)
      local run = start(packed, { port = port, args = { "--watch" } })
      port:await_states "running completed"
      support.write(bundle .. "/main.lua", main "two")
      local new = packed:gsub("demo", "new")
      pack(new)
      os.rename(new, packed)
      run:await_err "reloaded demo.*%(reload%) complete"
      assert.are.equal("1=two 2=two 3=two", titles(port:entities()))
      local whole = support.read(packed)
      support.write(packed, whole:sub(1, #whole // 2))
      run:await_err "refused demo"
      assert.are.equal(2, generation(run))
      support.write(bundle .. "/main.lua", main "three")
      pack(packed)
      run:await_err "generation 3.*%(reload%) complete"
      assert.are.equal("1=three 2=three 3=three", titles(port:entities()))
      assert.are.equal(0, run:stop())
    end))

    it("takes a packed file only from whom it trusts", case(function(start)
      local dir = support.tmpdir()
      local function tool(...)
        local res = support.run({ support.bin, ... }, { cwd = dir })
        assert.are.equal(0, res.code, res.err)
      end
      tool("keygen", "ours")
      tool("keygen", "theirs")
      tool("pack", bundle, "-o", "demo.mtb", "--sign", "ours.key")
      local other = service.run(dir .. "/demo.mtb", { port = port, args = { "--trust", dir .. "/theirs.pub" } })
      assert.are.equal(2, other.code, other.err)
      local folder = service.run(bundle, { port = port, args = { "--trust", dir .. "/ours.pub" } })
      assert.are.equal(2, folder.code, folder.err)
      assert.are.equal("", port:states())
      local run = start(dir .. "/demo.mtb", { port = port, args = { "--watch", "--trust", dir .. "/ours.pub" } })
      port:await_states "running completed"
      support.write(bundle .. "/main.lua", main "two")
      tool("pack", bundle, "-o", "demo.mtb", "--sign", "theirs.key")
      run:await_err "refused demo"
      tool("pack", bundle, "-o", "demo.mtb")
      support.await("the second refusal", function()
        return run:bundle().reloads.refused == 2
      end)
      assert.are.equal(1, generation(run))
      tool("pack", bundle, "-o", "demo.mtb", "--sign", "ours.key")
      run:await_err "reloaded demo.*%(reload%) complete"
      assert.are.equal(0, run:stop())
    end))
  end)
end)
