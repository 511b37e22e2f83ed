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

-- Times, durations, memory and numbers of requests differ from run to run.
local function steady(text)
  text = text:gsub("%d%d%d%d%-%d%d%-%d%d [%d:.]+", "TIME"):gsub("%d+%.%d+", "N")
  return (text:gsub("%d+ to Port", "N to Port"):gsub(" +", " "))
end

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
  for _, block in ipairs(blocks((assert(support.read "README.md")))) do
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
