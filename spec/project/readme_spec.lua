-- The README's example is run as it is printed: files, commands and what they answer.
local support = require "spec.support"

-- { {info = "lua shop/main.lua", text = …}, … }
local function blocks(markdown)
  local list = {}
  for info, text in markdown:gmatch "\n```([^\n]+)\n(.-)\n```" do
    list[#list + 1] = { info = info, text = text }
  end
  return list
end

-- Times, durations, memory, keys and numbers of requests differ from run to run.
local function steady(text)
  text = text:gsub("%d%d%d%d%-%d%d%-%d%d [%d:.]+", "TIME"):gsub("%d+%.%d+", "N"):gsub("●", "+") -- busted's, in UTF-8
  text = text:gsub("[%w_-]+", function(word) return #word > 40 and "KEY" or nil end):gsub("%d+ bytes", "N bytes")
  return (text:gsub("%d+ to Port", "N to Port"):gsub(" +", " "))
end

local readme = assert(support.read "README.md")

describe("the README", function()
  it("names settings that exist", function()
    local env, count = {}, 0
    for name in readme:gmatch "%f[%w][%u]+__[%u_]+%f[^%u_]" do
      local open = name:find "__X$" or name:find "BUNDLES__" or name:find "CONFIG__" or name:find "__$"
      if not open and not env[name] then
        env[name] = "x"
        count = count + 1
      end
    end
    assert.is_true(count >= 15)
    -- The values do not fit; the names must.
    local result = support.run({ support.bin, "validate", "examples/hello" }, { env = env })
    assert.not_matches("there is no setting", result.out .. result.err, 1, true)
    env.OCEAN__NO_SUCH_SETTING = "x"
    local wrong = support.run({ support.bin, "validate", "examples/hello" }, { env = env })
    assert.matches("there is no setting", wrong.out .. wrong.err, 1, true)
  end)

  it("names commands and options that exist", function()
    local known = {}
    for name in support.run({ support.bin, "help" }).out:gmatch "\n  (%l+) " do
      known[name] = support.run({ support.bin, "help", name }).out
    end
    local count = 0
    for line in readme:gmatch "[^\n]+" do
      for name, rest in line:gmatch "%f[%w]moontide (%l+)([^`#]*)" do
        if line:find "^    moontide" or line:find "^%$ moontide" or line:find("`moontide " .. name, 1, true) then
          count = count + 1
          assert.is_truthy(known[name], line)
          for option in rest:gsub("&&.*", ""):gmatch " (%-%-%l[%l-]*)" do
            assert.matches(option, known[name], 1, true, line)
          end
        end
      end
    end
    assert.is_true(count >= 15)
  end)

  it("links to sections and files that exist", function()
    local sections, count = {}, 0
    for title in readme:gmatch "\n#+ ([^\n]+)" do
      sections["#" .. title:lower():gsub("[^%w -]", ""):gsub(" ", "-")] = true
    end
    for target in readme:gmatch "%]%(([^)]+)%)" do
      if not target:find "^https://" then
        count = count + 1
        assert.is_true(sections[target] or support.exists(target), target)
      end
    end
    assert.is_true(count >= 2)
  end)
end)

describe("the README's five minutes", function()
  local dir, server, url, env

  setup(function()
    dir = support.tmpdir()
    local program = [[
      require('http').createServer((request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(require('fs').readFileSync('api' + request.url));
      }).listen(0, '127.0.0.1', function () { console.log('http://127.0.0.1:' + this.address().port) })]]
    server = support.spawn({ "node", "-e", program }, { cwd = dir })
    url = server.line
    env = { PATH = support.bin:gsub("/[^/]*$", ":") .. os.getenv "PATH" }
  end)
  teardown(function()
    server:stop()
  end)

  local function check(command, expected)
    if command:find("http.server", 1, true) then
      return -- the server above takes its place
    end
    local name, value = command:match "^export ([%w_]+)=(.*)$"
    if name then
      env[name] = value:gsub("http://localhost:8123", url)
      return
    end
    if command:find "^moontide catalog" then
      local words = {}
      for word in (command .. " --listen 127.0.0.1:0"):gmatch "%S+" do
        words[#words + 1] = word
      end
      local catalog = support.spawn(words, { cwd = dir, env = env })
      assert.matches("^listening http://127.0.0.1:%d+$", catalog.line)
      assert.equal(0, catalog:stop())
      return
    end
    local result = support.run({ "sh", "-c", command }, { cwd = dir, env = env })
    assert.equal(steady(expected), steady(result.err .. result.out), command)
  end

  local commands = 0
  for _, block in ipairs(blocks(readme)) do
    local path = block.info:match "^%w+ (%S+)$"
    if path then
      it("has " .. path, function()
        support.write(dir .. "/" .. path, block.text .. "\n")
      end)
    elseif block.info == "console" then
      local command, answer
      local function add()
        if command then
          local run, expected = command, table.concat(answer)
          commands = commands + 1
          it("runs " .. run, function() check(run, expected) end)
        end
      end
      for line in (block.text .. "\n"):gmatch "([^\n]*)\n" do
        if line:sub(1, 2) == "$ " then
          add()
          command, answer = line:sub(3), {}
        else
          answer[#answer + 1] = line .. "\n"
        end
      end
      add()
    end
  end

  it("is there", function()
    assert.is_true(commands >= 9)
  end)
end)
