-- luacheck: no max line length (a case is a line)
local bundle = require "spec.script.bundle"

bundle.describe("json.encode", {
  { "scalars", "return 1, -2.5, true, false, 'x', json.null, nil", '1 -2.5 true false "x" null null' },
  { "an empty table is an array", "return {}", "[]" },
  { "json.object() is an empty object", "return json.object(), json.object({}), json.array()", "{} {} []" },
  { "a sequence is an array", "return {1, 'a', {2}}", '[1,"a",[2]]' },
  { "names make an object, in their order", "return {b = 1, a = {c = 2}}", '{"a":{"c":2},"b":1}' },
  { "a float with an integral value is an integer", "return 3.0, 1e15, {2^53}", "3 1000000000000000 [9007199254740992]" },
  { "a fraction", "return 0.1, 1e300", "0.1 1e+300" },
  { "integers of 64 bits", "return math.maxinteger, math.mininteger", "9223372036854775807 -9223372036854775808" },
  { "strings are escaped", [[return 'a"\\\n\u{1}é']], [["a\"\\\n\u0001é"]] },
  { "nulls in tables", "return {json.null, json.null}", "[null,null]" },
  { "a marked table with members", "return json.object({a = 1}), json.array({1, 2})", '{"a":1} [1,2]' },
  { "metamethods are ignored", "return setmetatable({1}, {__index = function() return 5 end, __len = function() return 9 end, __pairs = error})", "[1]" },
  { "the same table twice is no circle", "local t = {1} return {t, t}", "[[1],[1]]" },
  { "a hole", "return json.encode({1, nil, 3})", error = "an array with a hole: %[2%] is nil, %[3%] is not" },
  { "a hole inside", "return json.encode({a = {b = {[5] = 1}}})", error = "a%.b: an array with a hole: %[1%]" },
  { "mixed keys", "return json.encode({x = {1, y = 2}})", error = 'x: a table with the member "y" beside numbered elements' },
  { "an array's mark with a name", "return json.encode(json.array({y = 2}))", error = 'the member "y" beside json%.array' },
  { "an object's mark with numbers", "return json.encode(json.object({5}))", error = "json%.object's mark and numbered" },
  { "a boolean key", "return json.encode({{[true] = 1}})", error = "%[1%]: a table with a key that is boolean" },
  { "a fraction as key", "return json.encode({[1.5] = 1})", error = "a key that is a number that is no index" },
  { "key 0", "return json.encode({[0] = 1})", error = "a key that is a number that is no index" },
  { "a circle", "local t = {} t.a = {t} return json.encode(t)", error = "a table that contains itself" },
  { "a circle through a view", "local d = json.decode('{}') d.x = {d} return json.encode(d)", error = "a table that contains itself" },
  { "too deep", "local t = {} for i = 1, 2000 do t = {t} end return json.encode(t)", error = "nested deeper than 1000" },
  { "NaN, with its path", "return json.encode({a = {1, 0/0}})", error = "a%[2%]: NaN is no JSON number" },
  { "infinity", "return json.encode({a = -1/0})", error = "a: infinity is no JSON number" },
  { "a function, with its path", "return json.encode({a = {b = {1, 2, print}}})", error = "a%.b%[3%]: a function cannot be JSON" },
  { "a coroutine", "return json.encode(coroutine.create(print))", error = "a thread cannot be JSON" },
  { "a userdata", "return json.encode({core.current()})", error = "%[1%]: a userdata cannot be JSON" },
  { "a string that is not UTF-8", [[return json.encode({a = "\xff"})]], error = "a: a string that is not UTF%-8" },
  { "an encoded surrogate", [[return json.encode({a = "\xed\xa0\x80"})]], error = "a: a string that is not UTF%-8" },
  { "a name that is not UTF-8", [[return json.encode({["\xc0\x80"] = 1})]], error = "a member's name that is not UTF%-8" },
  { "a secret, with its path", "return json.encode({a = {core.secret('s3cret')}})", error = "a%[1%]: a secret cannot become data" },
  { "no argument", "return json.encode()", error = "bad argument #1 to 'encode'" },
  { "a long path is cut", "return json.encode({[('k'):rep(60)] = {[('l'):rep(60)] = {[('m'):rep(60)] = {[('n'):rep(60)] = print}}}})", error = " k+%.l+%.m+%.n+%.%.%.: a function" },
})

bundle.describe("json.decode", {
  { "scalars", "return json.decode('5'), json.decode('\"x\"'), json.decode('true'), json.decode(' 1.5 ')", '5 "x" true 1.5' },
  { "null is json.null", "return json.decode('null') == json.null", "true" },
  { "not JSON", "json.decode('{\"a\":}')", error = "json%.decode: " },
  { "text after the value", "json.decode('1 2')", error = "json%.decode: " },
  { "empty text", "json.decode('')", error = "json%.decode: " },
  { "invalid UTF-8", [[json.decode('["\xff"]')]], error = "json%.decode: " },
  { "a table", "json.decode({})", error = "bad argument #1 to 'decode'" },
  { "a deep document is read, step by step", "local v = json.decode(('['):rep(5000) .. (']'):rep(5000)) local n = 0 while v do n = n + 1 v = v[1] end return n", "5000" },
  { "a deep document is passed on", "local s = ('['):rep(5000) .. (']'):rep(5000) return json.encode(json.decode(s)) == s", "true" },
})

bundle.describe("json.copy", {
  { "gives plain tables", "local t = json.copy(json.decode('{\"a\":[1,{\"b\":2}]}')) t.a[3] = 5 table.insert(t.a, 6) return type(t), t", '"table" {"a":[1,{"b":2},5,6]}' },
  { "has nulls as json.null", "local t = json.copy(json.decode('{\"a\":null,\"b\":[null]}')) return t.a == json.null, t.b[1] == json.null, t", 'true true {"a":null,"b":[null]}' },
  { "keeps {} and []", "return json.copy(json.decode('{\"a\":{},\"b\":[]}'))", '{"a":{},"b":[]}' },
  { "has the overlay in it", "local d = json.decode('{\"a\":{\"b\":1,\"c\":2}}') d.a.b = nil d.a.x = {1} d.y = 2 local t = json.copy(d) t.a.x[1] = 7 return d.a.x[1], t", '1 {"a":{"c":2,"x":[7]},"y":2}' },
  { "is deep for tables too", "local t = {a = {1}} local u = json.copy(t) u.a[1] = 2 return t.a[1]", "1" },
  { "of scalars is the scalar", "return json.copy(1), json.copy('x'), json.copy(json.null) == json.null", '1 "x" true' },
  { "of a circle is an error", "local t = {} t.t = t json.copy(t)", error = "json%.copy: nested deeper" },
  { "of an array with written elements", "local d = json.decode('[1,2,{\"a\":1}]') d[3].a = 2 d[4] = 4 d[1] = nil or 0 return json.copy(d)", '[0,2,{"a":2},4]' },
})

bundle.describe("json.kind", {
  { "scalars", "return json.kind(nil), json.kind(true), json.kind(1), json.kind('x'), json.kind(json.null)", '"null" "boolean" "number" "string" "null"' },
  { "tables", "return json.kind({}), json.kind({1}), json.kind({a = 1}), json.kind(json.object())", '"array" "array" "object" "object"' },
  { "what JSON cannot hold", "return json.kind(print) == nil, json.kind(coroutine.create(print)) == nil", "true true" },
})

bundle.describe("marks and json.null", {
  { "a table with a metatable of its own is not marked", "json.object(setmetatable({}, {}))", error = "a table with a metatable of its own" },
  { "a marked table is marked again", "return json.array(json.object())", "[]" },
  { "their metatables are protected", "return getmetatable(json.object()), getmetatable(json.null)", '"json.object" "json.null"' },
  { "null has no members", "return json.null.x", error = "attempt to index" },
})

describe("a conversion", function()
  it("of tables that share parts a million-fold stops at the memory budget", function()
    local run = bundle.handler([[
      local t = {1}
      for i = 1, 40 do t = {t, t} end
      coroutine.yield({{t = t}})]], { args = { "--memory", "30000000" } })
    assert.is_false(run.last.ok)
    assert.is_truthy(run.last.error:find "memory budget of 28 MiB is spent", run.last.error)
  end)
end)
