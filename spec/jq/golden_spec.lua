-- What jq 1.8.2 gives on data that nobody here wrote: the mappings and raw examples that Ocean's integrations ship.
local support = require "spec.support"
local drive = require "spec.jq.drive"
local shared = support.shared()
if not shared then
  return
end

local corpus = shared .. "/corpus/"

-- Integers up to 10^17 exactly, larger numbers as doubles.
local function same(a, b)
  return support.json.same(a, b, function(x, y)
    return x == y or type(x) == "number" and type(y) == "number" and math.abs(x) > 10 ^ 17 and x + 0.0 == y + 0.0
  end)
end

local function mapping_of(integration)
  for _, name in ipairs { "yml", "yaml" } do
    local path = ("%socean/%s/.port/resources/port-app-config.%s"):format(corpus, integration, name)
    if support.exists(path) then
      return path
    end
  end
end

describe("#slow Ocean's integrations", function()
  local groups, order = {}, {}
  for _, line in ipairs(support.json.lines(support.read(corpus .. "golden/examples.ndjson"))) do
    local key = line.integration .. " " .. line.index
    if not groups[key] then
      groups[key] = {}
      order[#order + 1] = key
    end
    table.insert(groups[key], line)
  end

  for _, key in ipairs(order) do
    local group = groups[key]
    it("map their examples as jq 1.8.2 does: " .. key, function()
      local items, expected = {}, {}
      for i, case in ipairs(group) do
        items[i] = support.read(("%socean/%s/.port/examples/%s/%s"):format(corpus, case.integration, case.kind,
          case.example))
        if case.entity ~= support.json.null then
          expected[#expected + 1] = case.entity
        end
      end
      local result = support.run({ support.bin, "map", "--mapping", mapping_of(group[1].integration), "--index",
        tostring(group[1].index) }, { stdin = table.concat(items, "\n") })
      local entities = support.json.lines(result.out)
      assert.equal(#expected, #entities, result.err)
      for i, entity in ipairs(expected) do
        assert.is_true(same(entity, entities[i]), support.json.encode(entities[i]))
      end
    end)
  end

  it("have mappings that all compile", function()
    local count = 0
    for path in io.popen("ls " .. corpus .. "ocean/*/.port/resources/port-app-config.*"):lines() do
      for index = 0, 200 do
        local result = support.run { support.bin, "map", "--mapping", path, "--index", tostring(index), "--threads",
          "1" }
        if result.code == 2 and result.err:find("resources, counted from 0", 1, true) then
          break
        end
        assert.equal(0, result.code, path .. " " .. index .. ": " .. result.err)
        count = count + 1
      end
    end
    assert.is_true(count > 100, count)
  end)

  it("have expressions that give what jq 1.8.2 gives, none of them by libjq", function()
    local requests, wanted = {}, {}
    for line in io.lines(corpus .. "golden/expressions.ndjson") do
      local case = support.json.decode(line)
      requests[#requests + 1] = ('{"op":"jq","program":%s,"inputs":%s}'):format(
        support.json.encode(case.program), line:match '"inputs":(%[.*%]),"results":%[')
      wanted[#requests] = case.results
    end
    local total, different = 0, {}
    local answers, err = drive(requests)
    assert.equal("", err) -- nothing fell back
    for i, answer in ipairs(answers) do
      assert.is_nil(answer.compile, requests[i])
      for k, expected in ipairs(wanted[i]) do
        local got, good = answer.results[k]
        if expected == "empty" then
          good = #got.v == 0 and not got.e
        elseif expected.e then
          good = #got.v == 0 and got.e ~= nil
        else
          good = #got.v > 0 and same(expected.v, got.v[1])
        end
        total = total + 1
        if not good then
          different[#different + 1] = requests[i]:sub(1, 200) .. " " .. k
        end
      end
    end
    assert.is_true(total > 13000 and #different == 0, #different .. " of " .. total .. "\n" ..
      table.concat(different, "\n"))
  end)
end)
