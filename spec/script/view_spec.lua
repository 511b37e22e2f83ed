-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"

local DOC = [==[local d = json.decode('{"id":7,"name":"x","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":1}}}') ]==]

local function cases(list)
  for _, case in ipairs(list) do
    case[2] = DOC .. case[2]
  end
  return list
end

bundle.describe("a view reads like a table", cases {
  { "a member", "return d.id, d.name", '7 "x"' },
  { "a null member is nil", "return d.gone == nil", "true" },
  { "a missing member is nil", "return d.nothing == nil", "true" },
  { "an element", "return d.list[1]", "1" },
  { "a null element is json.null", "return d.list[2] == json.null, tostring(d.list[2])", 'true "null"' },
  { "a nested element", "return d.list[3].a, d.list[4][1]", "1 true" },
  { "an index out of range is nil", "return d.list[0] == nil, d.list[5] == nil, d.list[-1] == nil", "true true true" },
  { "a float index", "return d.list[1.0], d.list[1.5] == nil", "1 true" },
  { "a name on an array is nil", "return d.list.name == nil", "true" },
  { "a number on an object is nil", "return d[1] == nil", "true" },
  { "# counts elements", "return #d.list, #d.list[4]", "4 1" },
  { "# of an object is 0", "return #d", "0" },
  { "the same node is the same userdata", "return d.owner == d.owner, rawequal(d.list[3], d.list[3])", "true true" },
  { "the same node is one key of a table", "local t = {[d.owner] = 5} return t[d.owner]", "5" },
  { "ipairs walks all elements", "local n, nulls = 0, 0 for i, v in ipairs(d.list) do n = n + i if v == json.null then nulls = nulls + 1 end end return n, nulls", "10 1" },
  { "pairs walks the members in order, nulls left out", "local k = {} for name in pairs(d) do k[#k + 1] = name end return k", '["id","name","list","owner"]' },
  { "pairs walks an array", "local s = '' for i, v in pairs(d.list) do s = s .. i .. json.kind(v):sub(1, 1) end return s", '"1n2n3o4a"' },
  { "numeric for over an array", "local s = '' for i = #d.list, 1, -1 do s = s .. json.kind(d.list[i]):sub(1, 1) end return s", '"aonn"' },
  { "tostring", "return tostring(d), tostring(d.list)", '"view of an object of 5 members" "view of an array of 4 elements"' },
  { "type and kind", "return type(d), json.kind(d), json.kind(d.list)", '"userdata" "object" "array"' },
  { "its metatable is protected", "return getmetatable(d)", '"moontide.view"' },
  { "a string with escapes and NUL", [[local v = json.decode('["a\\u0000b\\u00e9"]') return #v[1], v[1] == "a\0b\u{e9}"]], "5 true" },
  { "integers stay integers", "return math.type(d.id), math.type(json.decode('[9007199254740993]')[1]), json.decode('[9007199254740993]')[1]", '"integer" "integer" 9007199254740993' },
  { "5.0 and 1e3 are integers, 0.5 is not", "local v = json.decode('[5.0,1e3,0.5]') return v[1], v[2], v[3]", "5 1000 0.5" },
})

bundle.describe("what a view refuses names json.copy", cases {
  { "next", "next(d)", error = "next does not take a view.*json%.copy%(view%)" },
  { "rawget", "rawget(d, 'id')", error = "rawget does not take a view.*json%.copy" },
  { "rawset", "rawset(d, 'id', 1)", error = "rawset does not take a view.*json%.copy" },
  { "rawlen", "rawlen(d)", error = "rawlen does not take a view.*json%.copy" },
  { "table.insert", "table.insert(d.list, 1)", error = "table%.insert does not take a view.*json%.copy" },
  { "table.remove", "table.remove(d.list)", error = "table%.remove does not take a view.*json%.copy" },
  { "table.sort", "table.sort(d.list)", error = "table%.sort does not take a view.*json%.copy" },
  { "table.concat", "table.concat(d.list)", error = "table%.concat does not take a view.*json%.copy" },
  { "table.unpack", "table.unpack(d.list)", error = "table%.unpack does not take a view.*json%.copy" },
  { "table.move from it", "table.move(d.list, 1, 2, 1, {})", error = "table%.move does not take a view.*json%.copy" },
  { "table.move into it", "table.move({1}, 1, 1, 1, d.list)", error = "table%.move does not take a view.*json%.copy" },
  { "setmetatable", "setmetatable(d, {})", error = "setmetatable does not take a view.*json%.copy" },
  { "but a view inside a table is data", "local t = {} table.insert(t, d.owner) return #t", "1" },
})

bundle.describe("an overlay", cases {
  { "replaces a member", "d.name = 'y' return d.name, d", '"y" {"id":7,"name":"y","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":1}}}' },
  { "adds a member", "d.team = 't' return d.team, d", '"t" {"id":7,"name":"x","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":1}},"team":"t"}' },
  { "adds many members, in the order of their names", "local o = d.owner for i = 40, 1, -1 do o[('m%02d'):format(i)] = i end local s = json.encode(o) return s:find('\"plan\"') < s:find('\"m01\"'), s:find('\"m01\"') < s:find('\"m02\"'), select(2, s:gsub('\"m', ''))", "true true 40" },
  { "removes a member", "d.list = nil return d.list == nil, d", 'true {"id":7,"name":"x","gone":null,"owner":{"login":"o","plan":{"n":1}}}' },
  { "removes what it added", "d.z = 1 d.z = nil return d.z == nil, d.owner, d", 'true {"login":"o","plan":{"n":1}} {"id":7,"name":"x","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":1}}}' },
  { "brings a removed member back", "d.id = nil d.id = 8 return d.id", "8" },
  { "sets a null", "d.id = json.null return d.id == json.null, d", 'true {"id":null,"name":"x","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":1}}}' },
  { "of a deep node is seen from above", "d.owner.plan.n = 2 return d", '{"id":7,"name":"x","gone":null,"list":[1,null,{"a":1},[true]],"owner":{"login":"o","plan":{"n":2}}}' },
  { "of an element is seen from above", "d.list[3].a = 5 return d.list", '[1,null,{"a":5},[true]]' },
  { "leaves its neighbours alone", "d.owner.login = 'z' return d.list, d.owner.plan", '[1,null,{"a":1},[true]] {"n":1}' },
  { "belongs to the node, not to the userdata", "d.owner.login = 'z' for i = 1, 100 do local junk = {} for j = 1, 2000 do junk[j] = {} end end return d.owner.login", '"z"' },
  { "survives when only the whole is held", "local list = d.list for i = 1, 50 do list[3].a = i for j = 1, 1000 do local _ = {j} end end return list", '[1,null,{"a":50},[true]]' },
  { "replaces a container by a table, by reference", "local t = {1} d.owner = t t[2] = 2 return d.owner == t, d.owner", "true [1,2]" },
  { "holds a view of another document", "local e = json.decode('{\"k\":[1]}') d.id = e.k d.id[1] = 9 return d.id, e", '[9] {"k":[9]}' },
  { "holds a view of its own document", "d.copy = d.owner.plan return d.copy, json.encode(d):sub(-16)", '{"n":1} ",\\"copy\\":{\\"n\\":1}}"' },
  { "assigns an element", "d.list[1] = 'one' return d.list[1], d.list", '"one" ["one",null,{"a":1},[true]]' },
  { "appends an element", "d.list[5] = 5 d.list[#d.list + 1] = 6 return #d.list, d.list", '6 [1,null,{"a":1},[true],5,6]' },
  { "removes the last element", "d.list[4] = nil return #d.list, d.list", '3 [1,null,{"a":1}]' },
  { "removes and appends again", "d.list[4] = nil d.list[4] = 'n' return #d.list, d.list", '4 [1,null,{"a":1},"n"]' },
  { "empties an array", "for i = #d.list, 1, -1 do d.list[i] = nil end return #d.list, d.list", "0 []" },
  { "assigns null to an element", "d.list[1] = json.null return d.list[1] == json.null, d.list", 'true [null,null,{"a":1},[true]]' },
  { "is in pairs", "d.team = 't' d.id = nil d.name = 'y' local k = {} for name, v in pairs(d) do k[#k + 1] = name end table.sort(k) return k", '["list","name","owner","team"]' },
  { "may be written while pairs walks", "for name in pairs(d) do d[name] = 1 end return d", '{"id":1,"name":1,"gone":null,"list":1,"owner":1}' },
  { "is in ipairs", "d.list[5] = 5 local n = 0 for _ in ipairs(d.list) do n = n + 1 end return n", "5" },
  { "a gap in an array", "d.list[7] = 1", error = "index 7 of an array view of 4: assign at 1 to 5" },
  { "index 0", "d.list[0] = 1", error = "index 0 of an array view" },
  { "a hole in an array", "d.list[2] = nil", error = "%[2%] of an array view of 4 cannot be removed.*json%.copy" },
  { "a name on an array", "d.list.x = 1", error = "an array view is assigned by number, not by x" },
  { "a number on an object", "d[1] = 1", error = "an object view is assigned by name, not by a number" },
  { "a function is refused at the conversion, with its path", "d.owner.plan.n = print json.encode(d)", error = "owner%.plan%.n: a function cannot be JSON" },
})

describe("a yielded view", function()
  it("is a snapshot: later writes are legal and not in it", function()
    local run = bundle.handler [[
      local d = json.decode('{"items":[{"id":1},{"id":2}]}')
      d.items[1].team = "a"
      coroutine.yield(d.items)
      d.items[1].team = "b"
      coroutine.yield(d.items)
      d.items[1].team = nil
      coroutine.yield(d.items)]]
    assert.is_true(run.last.ok, run.last.error)
    assert.are.equal("a", run.batches[1].items[1].team)
    assert.are.equal("b", run.batches[2].items[1].team)
    assert.is_nil(run.batches[3].items[1].team)
    assert.are.equal(2, #run.batches[3].items)
  end)

  it("keeps numbers and duplicate keys as the document has them", function()
    local run = bundle.handler [[
      local d = json.decode('[{"n":123456789012345678901234567890,"f":3.10}]')
      coroutine.yield(d)
      d[1].x = 1
      coroutine.yield(d)]]
    assert.is_truthy(run.out:find('{"n":123456789012345678901234567890,"f":3.10}', 1, true), run.out)
    assert.is_truthy(run.out:find('{"n":123456789012345678901234567890,"f":3.10,"x":1}', 1, true), run.out)
  end)

  it("costs the memory of a page, not of the catalog (architecture 1)", function()
    local program = [[
      local page = '[' .. ('{"id":1,"text":"' .. ('x'):rep(5000) .. '"},'):rep(100):sub(1, -2) .. ']'
      for i = 1, 400 do
        local d = json.decode(page)
        %s
        coroutine.yield(d)
      end]]
    for _, write in ipairs { "", "for _, item in ipairs(d) do item.team = 'a' end" } do
      local run = bundle.handler(program:format(write), { args = { "--quiet" } })
      assert.is_true(run.last.ok, run.last.error)
      assert.are.equal(400, #run.batches)
      -- 400 pages of half a megabyte are 200 MB.
      if run.peak_rss_kib then -- not told by sanitizer builds, which need memory of their own
        assert.is_true(run.peak_rss_kib < 64 * 1024, "peak RSS " .. run.peak_rss_kib .. " KiB")
      end
    end
  end)

  it("is charged to the memory budget while Lua holds it", function()
    local run = bundle.handler([[
      local page, held = '["' .. ('x'):rep(1000000) .. '"]', {}
      for i = 1, 100 do held[i] = json.decode(page) end]], { args = { "--memory", "20000000" } })
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "^main%.lua:%d+: memory budget of 19 MiB is spent", run.last.error)
  end)
end)

-- A document may refer to parts of others, as what jq gives does.
bundle.describe("a view of a document whose parts are other documents", {
  { "reads through", "return ctx.selector.part.a.b, ctx.selector.list[1].a.b, #ctx.selector.list", "1 1 1" },
  { "is converted whole", "return ctx.selector", '{"part":{"a":{"b":1}},"list":[{"a":{"b":1}}]}' },
  { "has the overlay of a part wherever the part is", "ctx.selector.part.a.b = 2 return ctx.selector.list[1].a.b, ctx.selector",
    '2 {"part":{"a":{"b":2}},"list":[{"a":{"b":2}}]}' },
  { "keeps them while only the whole is held", "local s = ctx.selector s.part.a.c = 3 for i = 1, 30 do for j = 1, 3000 do local _ = {j} end end return s.part.a.c, json.encode(s):match('\"c\":3')", '3 "\\"c\\":3"' },
}, { args = { "--selector-ref", '{"a":{"b":1}}' } })
