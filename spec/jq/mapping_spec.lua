-- A resource of a mapping over raw items (runtime/jq/mapping.h), rule by rule.
local drive = require "spec.jq.drive"
local support = require "spec.support"
local null, encode = support.json.null, support.json.encode

-- A resource as JSON text: mappings (members as JSON text), selector, other members of port.
local function resource(mappings, selector, port)
  return ('{"kind":"k","selector":{"query":%s},"port":{"entity":{"mappings":%s}%s}}')
    :format(selector or '"true"', mappings, port and "," .. port or "")
end

local function map(mappings, items, selector, port, more)
  return drive { ('{"op":"map","resource":%s,"items":%s%s}')
    :format(resource(mappings, selector, port), items, more and "," .. more or "") }[1]
end

-- Body of the only entity, with these extra mapped members.
local function body(extra, item)
  local answer = map('{"identifier":"\\"i\\"","blueprint":"\\"b\\""' .. extra .. "}", "[" .. item .. "]")
  assert(answer.entities and #answer.entities == 1, encode(answer))
  return answer.entities[1]
end

local BASE = '"identifier":".id","blueprint":"\\"b\\""'

describe("entities", function()
  it("have only mapped members, in the order that Port's API shows (A-ENT-01, R-ENT-03)", function()
    local all = '{"relations":{"r":".r"},"properties":{"p":".p","q":".q"},"team":".t","blueprint":".b","icon":".i",' ..
      '"title":".n","identifier":".id"}'
    local answer = map(all, '[{"id":"x","n":"N","i":"I","b":"B","t":"T","p":1,"r":"R"}]')
    assert.equal(
      '{"identifier":"x","title":"N","icon":"I","blueprint":"B","team":"T","properties":{"p":1,"q":null},' ..
      '"relations":{"r":"R"}}', answer.entities[1].text)
    assert.equal('{"identifier":"x","blueprint":"b"}', map("{" .. BASE .. "}", '[{"id":"x"}]').entities[1].text)
  end)

  it("send null for what is mapped and null, and {} for properties mapped as {} (R-ENT-03, R-MAP-03)", function()
    assert.equal('{"identifier":"i","title":null,"blueprint":"b","properties":{},"relations":{}}',
      body(',"title":".nothing","properties":{},"relations":{}', "{}").text)
    assert.equal('{"identifier":"i","blueprint":"b","properties":{},"relations":{"a":1}}',
      body(',"properties":{},"relations":{"a":"1"}', "{}").text)
    assert.equal('{"identifier":"i","blueprint":"b","properties":{"a":1},"relations":{}}',
      body(',"properties":{"a":"1"},"relations":{}', "{}").text)
  end)

  it("take an explicit null of title, icon and team for mapped (R-MAP-03)", function()
    assert.equal('{"identifier":"i","title":null,"icon":null,"blueprint":"b","team":null}',
      body(',"title":null,"icon":null,"team":null', "{}").text)
  end)

  it("keep a number as identifier; its text is the key (R-DIFF-05)", function()
    local answer = map("{" .. BASE .. "}",
      '[{"id":5},{"id":"5"},{"id":5.0},{"id":9007199254740993},{"id":2.5},{"id":1e3}]')
    local texts, keys = {}, {}
    for i, entity in ipairs(answer.entities) do
      texts[i], keys[i] = entity.identifier, entity.key
    end
    assert.same({ "5", "5", "5", "9007199254740993", "2.5", "1000" }, texts)
    assert.equal(keys[1], keys[2])
    assert.equal(keys[1], keys[3])
    assert.not_equal(keys[1], keys[4])
    assert.equal('{"identifier":5,"blueprint":"b"}', answer.entities[1].text)
  end)

  it("turn a number for team into text, and refuse what icon and team cannot be, that item only (R-ENT-04, R-ENT-05)",
    function()
    assert.equal('{"identifier":"i","blueprint":"b","team":"5"}', body(',"team":"5"', "{}").text)
    assert.equal('{"identifier":"i","blueprint":"b","team":["a"]}', body(',"team":"[.t]"', '{"t":"a"}').text)
    local answer = map("{" .. BASE .. ',"icon":".i","team":".t"}',
      '[{"id":"1","i":{}},{"id":"2","i":"x"},{"id":"3","i":3},{"id":"4","t":true},{"id":"5","i":["a"]}]')
    assert.equal(1, #answer.entities)
    assert.equal(1, answer.entities[1].item)
    assert.equal(4, #answer.failed)
    assert.equal("icon (.i): must be text or null, not an object", answer.failed[1].message)
    assert.equal("team (.t): must be text, a list, a query or null, not a boolean", answer.failed[3].message)
    for _, failed in ipairs(answer.failed) do
      assert.is_truthy(failed.key) -- identifier and blueprint are known: they protect their own entity
    end
  end)

  it("are skipped without identifier or blueprint, which is no failure (R-ENT-01)", function()
    local answer = map('{"identifier":".id","blueprint":".b"}',
      '[{"id":null,"b":"b"},{"id":"","b":"b"},{"id":0,"b":"b"},{"id":false,"b":"b"},{"id":{},"b":"b"},' ..
      '{"b":"b"},{"id":"x"},' ..
      '{"id":"x","b":""},{"id":"x","b":"b"}]')
    assert.same({ 1, 8, 9, 0 }, { #answer.entities, answer.skipped, answer.selected, #answer.failed })
  end)

  it("keep the order of the items (R-JQ-11)", function()
    local items = {}
    for i = 1, 500 do
      items[i] = ('{"id":"%d","n":%d}'):format(i, i)
    end
    local answer = map("{" .. BASE .. ',"properties":{"n":".n + 1"}}', "[" .. table.concat(items, ",") .. "]")
    for i, entity in ipairs(answer.entities) do
      assert.equal(i - 1, entity.item)
      assert.equal(i + 1, entity.body.properties.n)
    end
    assert.equal(500, #answer.entities)
  end)
end)

describe("search queries", function()
  local query = [[{"combinator":"'and'","rules":[{"property":"'$title'","operator":"'='","value":".v"},
    {"property":".p","operator":"'in'","value":null}]}]]
  query = query:gsub("\n *", "")

  it("are evaluated leaf by leaf and keep their structure (R-MAP-04, R-JQ-09)", function()
    local entity = body(',"relations":{"r":' .. query .. "}", '{"v":"x","p":7}')
    assert.same({
      combinator = "and",
      rules = {
        { property = "$title", operator = "=", value = "x" },
        { property = 7, operator = "in", value = null },
      },
    }, entity.body.relations.r)
    assert.is_true(entity.search_relation)
    assert.is_false(entity.search_identifier)
  end)

  it("are recognised as identifier, relation and team (R-ENT-07, R-ENT-08)", function()
    local function flags(extra, item, base)
      local answer = map("{" .. (base or BASE) .. extra .. "}", item or '[{"id":"x","q":{"a":1},"l":["x",{"a":1}]}]')
      return { answer.entities[1].search_identifier, answer.entities[1].search_relation }
    end
    local identifier = '"identifier":' .. query .. ',"blueprint":"\\"b\\""'
    assert.same({ false, false }, flags(',"team":".id","relations":{"r":".id","s":"[.id]"}'))
    assert.same({ false, true }, flags(',"relations":{"r":".q"}'))
    assert.same({ false, true }, flags(',"relations":{"r":".l"}'))
    assert.same({ false, true }, flags(',"team":' .. query))
    assert.same({ false, true }, flags(',"team":".q"'))
    assert.same({ false, true }, flags(',"team":".l"'))
    assert.same({ true, false }, flags("", nil, identifier))
    assert.same({ true, false }, flags("", nil, '"identifier":".q","blueprint":"\\"b\\""'))
  end)

  it("as identifier have sorted JSON for their text (R-DIFF-05)", function()
    local answer = map('{"identifier":".q","blueprint":"\\"b\\""}',
      '[{"q":{"b":1.0,"a":[{"d":"é","c":null}]}},{"q":{"a":[{"c":null,"d":"é"}],"b":1}}]')
    assert.equal('{"a":[{"c":null,"d":"é"}],"b":1}', answer.entities[1].identifier)
    assert.equal(answer.entities[1].key, answer.entities[2].key)
  end)
end)

describe("expressions", function()
  it("give their first output; none or an error is null and costs only the field (R-JQ-04)", function()
    local entity = body(
      ',"properties":{"first":"1, 2","none":"empty","error":"error(\\"x\\")","after":"3, error(\\"x\\")",' ..
      '"try":".a?","q":"[.[]?]","deep":".a.b.c.d","num":"(.n, .m)?"}', '{"n":1}')
    assert.same({ first = 1, none = null, error = null, after = 3, try = null, q = { 1 }, deep = null, num = 1 },
      entity.body.properties)
  end)

  it("that give null are counted once a field, with the first cause (R-JQ-05)", function()
    local answer = map("{" .. BASE ..
      ',"properties":{"a":".a","e":".n | ltrimstr(5)","ok":"1"},"relations":{"r":{"combinator":".x","rules":".y"}}}',
      '[{"id":"one","a":1},{"id":"two"},{"id":"three","a":null}]')
    table.sort(answer.empty, function(x, y) return x.field < y.field end)
    assert.equal(3, #answer.empty)
    assert.same({ field = "properties.a", expression = ".a", count = 2, sample = "null", entity = "two" },
      answer.empty[1])
    assert.same({ "properties.e", 3, "one" }, { answer.empty[2].field, answer.empty[2].count,
      answer.empty[2].entity })
    assert.is_truthy(answer.empty[2].sample:find "string", 1, true)
    assert.same({ "relations.r", 3 }, { answer.empty[3].field, answer.empty[3].count })
    assert.equal(3, #answer.entities)
  end)

  it("keep integers beyond 2^53 and give whole numbers without fraction (R-JQ-17)", function()
    local entity = body(
      ',"properties":{"a":".id","b":"[.id]","c":".x * 2","d":"(.id | tostring)","e":"infinite","f":"nan"}',
      '{"id":9007199254740993,"x":2.5}')
    assert.is_truthy(entity.text:find('"a":9007199254740993,"b":[9007199254740993],"c":5,"d":"9007199254740993",', 1,
      true), entity.text)
    assert.same({ 1.7976931348623157e308, null }, { entity.body.properties.e, entity.body.properties.f })
  end)

  it("that are constant are evaluated, too, with their errors (R-JQ-12)", function()
    local entity = body(
      ',"properties":{"a":"\\"x\\" + \\"y\\"","b":"1 + 2 * 3","c":"[1, 2]","d":"1 - \\"x\\"",' ..
      '"e":"if true then 1 else 2 end"}', "{}")
    assert.same({ a = "xy", b = 7, c = { 1, 2 }, d = null, e = 1 }, entity.body.properties)
  end)

  it("take single quotes (R-JQ-02)", function()
    assert.same({ a = "x/y", b = "z" }, body([[,"properties":{"a":".a + '/' + .b","b":"'z'"}]],
      '{"a":"x","b":"y"}').body.properties)
  end)

  it("see no environment and cannot reach each other (R-JQ-03)", function()
    assert.same({ a = null, b = {}, c = 1 }, body(',"properties":{"a":"$ENV.PATH","b":"env","c":"def f: 1; f"}',
      "{}").body.properties)
    for _, other in ipairs { "f", "$mt_nothing", "$x" } do
      local answer = map("{" .. BASE .. ',"properties":{"a":"def f: 1; . as $x | f","b":"' .. other .. '"}}', "[]")
      assert.is_truthy(answer.error:find("properties.b", 1, true), other)
    end
  end)
end)

describe("memory", function()
  it("is collected while the values of other fields wait", function()
    local items = {}
    for i = 1, 3 do
      items[i] = ('{"id":"%d","l":["a%d","b"]}'):format(i, i)
    end
    local answer = map("{" .. BASE .. ',"properties":{"list":"[.l[] + \\"x\\"]","much":"[range(200000) | tostring] | length",' ..
      '"more":"reduce range(200000) as $i ({}; .[\\"k\\"] = [$i, $i]) | .k[0]","object":"{(.l[0]): .l, n: [.l | length]}",' ..
      '"last":"last(range(100000) | [.])","same":".l"}}', "[" .. table.concat(items, ",") .. "]")
    for i, entity in ipairs(answer.entities) do
      assert.same({ list = { "a" .. i .. "x", "bx" }, much = 200000, more = 199999,
        object = { ["a" .. i] = { "a" .. i, "b" }, n = { 2 } }, last = { 99999 }, same = { "a" .. i, "b" } },
        entity.body.properties)
    end
    assert.equal(3, #answer.entities)
  end)
end)

describe("the selector", function()
  local function selected(selector, item)
    local answer = map("{" .. BASE .. ',"properties":{"x":".x | error"}}', item or '[{"id":"x","a":true,"n":null}]',
      encode(selector))
    return #answer.entities, answer.rejected, answer.failed
  end

  it("takes true, leaves false, and fails on all else (R-JQ-06)", function()
    for _, text in ipairs { "true", ".a", ".id == \"x\"", "true, false", "[.a] | any", "(.a)" } do
      local entities, rejected, failed = selected(text)
      assert.same({ 1, 0, 0 }, { entities, rejected, #failed }, text)
    end
    for _, text in ipairs { "false", ".a | not", "false, true", ".id == \"y\"" } do
      local entities, rejected, failed = selected(text)
      assert.same({ 0, 1, 0 }, { entities, rejected, #failed }, text)
    end
    for text, why in pairs {
      [".n"] = "must give true or false, not null", [".id"] = "not a string", ["1"] = "not a number",
        ["empty"] = "not nothing",
      [".nothing"] = "not null", ["error(\"boom\")"] = "boom", [".id.x"] = "Cannot index string",
        ["{}"] = "not an object",
      [".a.b"] = "Cannot index boolean", ["[.]"] = "not a list", [".id | tonumber"] = "cannot be parsed",
    } do
      local entities, rejected, failed = selected(text)
      assert.same({ 0, 0, 1 }, { entities, rejected, #failed }, text)
      assert.is_truthy(failed[1].message:find(why, 1, true), failed[1].message)
      assert.is_truthy(failed[1].key, text) -- identifier and blueprint could be evaluated (architecture 3.4.1)
    end
  end)

  it("fails without a key when identifier or blueprint cannot be evaluated either", function()
    for _, mappings in ipairs {
      '{"identifier":".id | error","blueprint":"\\"b\\""}', '{"identifier":".nothing","blueprint":"\\"b\\""}',
      '{"identifier":".id","blueprint":".nothing"}', '{"identifier":".id","blueprint":".id.x"}',
    } do
      local answer = map(mappings, '[{"id":"x"}]', '".id"')
      assert.equal(1, #answer.failed)
      assert.is_nil(answer.failed[1].key, mappings)
    end
  end)

  it("that is false keeps fields from being evaluated (R-JQ-07)", function()
    local answer = map('{"identifier":".id","blueprint":"\\"b\\"","properties":{"x":".id | error"}}',
      '[{"id":"x","s":false},{"id":"y","s":true}]', '".s == true"')
    assert.same({ 1, 1, 1 }, { #answer.entities, answer.rejected, #answer.empty })
    assert.same({ 1, "y" }, { answer.empty[1].count, answer.empty[1].entity })
  end)
end)

describe("failed items (architecture 3.4.1)", function()
  it("are those whose identifier or blueprint raises, and the others go on (R-JQ-10)", function()
    local answer = map('{"identifier":".id.x","blueprint":".b | ascii_downcase"}',
      '[{"id":"s","b":"B"},{"id":{"x":"1"},"b":"B"},{"id":{"x":"2"},"b":5},7,null,{"id":{"x":"3"},"b":"B"}]')
    assert.equal(2, #answer.entities)
    assert.same({ 1, 5 }, { answer.entities[1].item, answer.entities[2].item })
    assert.equal(4, #answer.failed)
    assert.equal('identifier (.id.x): Cannot index string with string ("x")', answer.failed[1].message)
    assert.is_truthy(answer.failed[2].message:find("blueprint (.b | ascii_downcase)", 1, true))
    assert.equal("a raw item must be an object, not a number", answer.failed[3].message)
    for _, failed in ipairs(answer.failed) do
      assert.is_nil(failed.key)
    end
  end)
end)

describe("itemsToParse", function()
  local function items(expression, item, more, mappings)
    return map(mappings or '{"identifier":".item.id","blueprint":"\\"b\\"","properties":{"all":"."}}', "[" .. item ..
      "]", nil,
      '"itemsToParse":' .. encode(expression) .. (more or ""))
  end

  it("gives one entity an element, of the item without the list and with the element (R-ITP-02, R-ITP-03)", function()
    local answer = items(".list",
      '{"a":1,"list":[{"id":"x"},{"id":"y"}],"item":"old"},{"list":[]},{"list":[{"id":"z"}]}')
    assert.equal(3, #answer.entities)
    assert.equal(3, answer.items) -- R-ITP-07
    assert.same({ 0, 0, 2 }, { answer.entities[1].item, answer.entities[2].item, answer.entities[3].item })
    assert.same({ a = 1, item = { id = "y" } }, answer.entities[2].body.properties.all)
  end)

  it("can name the element and keep the item as it is", function()
    local answer = items(".list", '{"a":1,"list":[{"id":"x"}]}',
      ',"itemsToParseName":"el","itemsToParseTopLevelTransform":false',
      '{"identifier":".el.id","blueprint":"\\"b\\"","properties":{"all":"."}}')
    assert.same({ a = 1, list = { { id = "x" } }, el = { id = "x" } }, answer.entities[1].body.properties.all)
  end)

  it("deletes what its expression starts from (R-ITP-04, R-ITP-05)", function()
    for expression, left in pairs {
      [".a.b"] = '{"a":{"c":1},"l":[1,{"id":"q"}]}',
      [".a.b // []"] = '{"a":{"c":1},"l":[1,{"id":"q"}]}',
      ["(.a.b | map(select(.id)))"] = '{"a":{"c":1},"l":[1,{"id":"q"}]}',
      [". as $all | ($all | .a.b) as $i | $i"] = '{"a":{"c":1},"l":[1,{"id":"q"}]}',
      ["[.l[1]]"] = false,
      [".a | [.b[]]"] = '{"l":[1,{"id":"q"}]}',
      [".l[1:2]"] = '{"a":{"b":[{"id":"x"}],"c":1},"l":[1]}',
      [".l[1] | [.]"] = '{"a":{"b":[{"id":"x"}],"c":1},"l":[1]}',
      [".nothing // .a.b"] = '{"a":{"b":[{"id":"x"}],"c":1},"l":[1,{"id":"q"}]}',
    } do
      local answer = items(expression, '{"a":{"b":[{"id":"x"}],"c":1},"l":[1,{"id":"q"}]}')
      if left then
        local all = answer.entities[1].body.properties.all
        all.item = nil
        assert.same(support.json.decode(left), all, expression)
      else
        assert.same({ 0, 1, 0 }, { #answer.entities, answer.skipped, #answer.failed }, expression) -- R-ITP-06
      end
    end
  end)

  it("skips an item whose list is null, and fails one whose list is none or raises", function()
    local answer = items(".list", '{"list":null},{},{"list":"x"},{"list":{}},{"list":[{"id":"ok"}]}')
    assert.same({ 1, 2, 2 }, { #answer.entities, answer.skipped, #answer.failed })
    assert.equal("itemsToParse (.list): must give a list, not a string", answer.failed[1].message)
    answer = items(".list | map(.id)", '{"list":5}')
    assert.same({ 0, 0, 1 }, { #answer.entities, answer.skipped, #answer.failed })
    -- Its entities would have come from the elements: no key of the item's own protects them.
    assert.is_nil(answer.failed[1].key)
  end)

  it("skips an item that is null without the list, and one that the path cannot be deleted from", function()
    local answer = items(".list", '{"list":[{"id":"x"}]}')
    assert.same({ item = { id = "x" } }, answer.entities[1].body.properties.all)
    answer = items(".a.list // [{\"id\":1}]", '{"a":{"list":null}}')
    assert.equal(1, #answer.entities)
    answer = items("(.a.b? // [{\"id\":1}])", '{"a":5}')
    assert.same({ 0, 1 }, { #answer.entities, answer.skipped })
  end)

  it("is off when it is absent, null or empty (R-ITP-08)", function()
    for _, port in ipairs { '"itemsToParse":null', '"itemsToParse":""', '"itemsToParseName":"x"' } do
      assert.equal(1, #map("{" .. BASE .. "}", '[{"id":"x","list":[1,2]}]', nil, port).entities, port)
    end
  end)

  it("keeps elements exact, and elements need not be objects", function()
    local answer = map('{"identifier":".item","blueprint":"\\"b\\""}', '[{"l":[9007199254740993,"x",null]}]', nil,
      '"itemsToParse":".l"')
    assert.same({ "9007199254740993", "x" }, { answer.entities[1].identifier, answer.entities[2].identifier })
    assert.equal(1, answer.skipped)
  end)
end)

describe("a mapping that is wrong", function()
  local function refusal(text)
    return drive { ('{"op":"map","source":"conf.yml","items":[],"resource":%s}'):format(text) }[1].error
  end

  it("is refused with source, resource, kind and field (R-MAP-02…05)", function()
    for text, message in pairs {
      ["5"] = "conf.yml, resource 0: an object is expected",
      ["{}"] = "conf.yml, resource 0: kind (text) is missing",
      ['{"kind":null}'] = "conf.yml, resource 0: kind (text) is missing",
      ['{"kind":"k"}'] = 'conf.yml, resource 0 (kind "k"), selector.query: is missing',
      ['{"kind":"k","selector":{"query":null}}'] = "selector.query: a jq expression (text) is expected here, not null",
      ['{"kind":"k","selector":{"query":"true"}}'] = "port.entity.mappings: an object is expected",
      [resource '{"blueprint":"1"}'] = "identifier: is missing",
      [resource '{"identifier":"1"}'] = "blueprint: is missing",
      [resource '{"identifier":null,"blueprint":"1"}'] =
        "identifier: a jq expression (text) is expected here, not null",
      [resource '{"identifier":["1"],"blueprint":"1"}'] =
        "identifier: a jq expression (text) is expected here, not a list",
      [resource '{"identifier":"1","blueprint":{}}'] =
        "blueprint: a jq expression (text) is expected here, not an object",
      [resource("{" .. BASE ..
        ',"properties":{"a":null}}')] = "properties.a: a jq expression (text) is expected here, not null",
      [resource("{" .. BASE ..
        ',"properties":{"a":{"b":"1"}}}')] = "properties.a: a jq expression (text) is expected here, not an object",
      [resource("{" .. BASE .. ',"properties":[]}')] = "properties: an object of name: expression is expected",
      [resource("{" .. BASE ..
        ',"relations":{"a":[]}}')] = "relations.a: a jq expression (text) is expected here, not a list",
      [resource("{" .. BASE .. "}", nil,
        '"itemsToParse":[]')] = "itemsToParse: a jq expression (text) is expected here, not a list",
      [resource("{" .. BASE .. "}", nil,
        '"itemsToParseTopLevelTransform":"x"')] = "itemsToParseTopLevelTransform: true or false is expected",
    } do
      local err = refusal(text)
      assert.is_truthy(err and err:find(message, 1, true), tostring(err))
    end
  end)

  it("is refused with the expression that does not compile, and why", function()
    for text, message in pairs {
      [resource("{" .. BASE .. ',"properties":{"ok":".a + 1","bad":".a +"}}')] =
        'conf.yml, resource 0 (kind "k"), properties.bad: the jq expression .a + does not compile: line 1, column 5: ',
      [resource("{" .. BASE ..
        ',"properties":{"bad":"1) | $ENV | (1"}}')] =
        "properties.bad: the jq expression 1) | $ENV | (1 does not compile",
      [resource("{" .. BASE .. ',"relations":{"r":{"combinator":"\'and\'","rules":[{"value":"nope(1)"}]}}}')] =
        "relations.r: the jq expression nope(1) does not compile: line 1, column 1: nope/1 is not defined",
      [resource("{" .. BASE .. "}", '".a ="')] = "selector.query: the jq expression .a = does not compile",
      [resource("{" .. BASE .. "}", nil,
        '"itemsToParse":".a["')] = "itemsToParse: the jq expression .a[ does not compile",
      [resource("{" .. BASE ..
        ',"properties":{"b":true}}')] =
        "True does not compile: line 1, column 1: True/0 is not defined",
      [resource("{" .. BASE ..
        ',"title":""}')] = "title: the jq expression  does not compile: line 1, column 1: the program is empty",
    } do
      local err = refusal(text)
      assert.is_truthy(err and err:find(message, 1, true), tostring(err))
    end
  end)

  it("takes numbers for text as Python spells them (R-MAP-05)", function()
    assert.same({ a = 5, b = 1.5, c = 1000 }, body(',"properties":{"a":5,"b":1.5,"c":1e3}', "{}").body.properties)
  end)

  it("gives null for file:// and search://, and says so (R-JQ-08)", function()
    local answers, err = drive { ('{"op":"map","resource":%s,"items":[{"id":"x"}]}'):format(
      resource("{" .. BASE .. ',"properties":{"a":"file://README.md","b":"search://x//y"}}')) }
    assert.equal('{"identifier":"x","blueprint":"b","properties":{"a":null,"b":null}}', answers[1].entities[1].text)
    assert.is_truthy(err:find("properties.a: file://README.md cannot be evaluated here; the field is null", 1, true),
      err)
  end)

  it("tells its constant blueprint", function()
    assert.equal("b", map("{" .. BASE .. "}", "[]").constant_blueprint)
    assert.equal("", map('{"identifier":".id","blueprint":".b"}', "[]").constant_blueprint)
  end)
end)

describe("compiling", function()
  it("takes a mapping of 61 fields 2 ms, in a build that is not optimised 20", function()
    local fields = {}
    for i = 1, 59 do
      fields[i] = ('"f%d":%s'):format(i, encode(({ ".a.b" .. i, ".l[] | select(.x == " .. i .. ") | .y",
        '(.a.n // 0) + ' .. i, 'if .a.b then "x\\(.c)" else empty end', '.t | sub("^(?<a>[a-z]+)-"; "\\(.a)/")',
        '[.l[]? | .name | ascii_downcase] | sort | join(", ")', "(.d / 1000 | todate)" })[i % 7 + 1]))
    end
    local request = ('{"op":"compile","resource":%s}'):format(resource("{" .. BASE .. ',"properties":{' ..
      table.concat(fields, ",") .. "}}"))
    local least = math.huge
    for _, answer in ipairs(drive { request, request, request, request, request }) do
      assert.is_nil(answer.error)
      least = math.min(least, answer.us)
    end
    assert.is_true(least <= 20000, least)
  end)
end)

describe("threads", function()
  it("have a mapper each and agree", function()
    local items = {}
    for i = 1, 200 do
      items[i] = ('{"id":"%d","t":"%s","n":%d,"l":[{"id":1},{"id":2}]}'):format(i, ("Ab c"):rep(i % 7), i)
    end
    local answer = map("{" .. BASE ..
      ',"title":".t | gsub(\\" \\"; \\"-\\") | ascii_upcase","properties":{"n":".n * 2","d":".n | todate",' ..
      '"l":"[.l[] | .id | tostring] | join(\\",\\")","c":"\\"a\\" + \\"b\\"","e":".t.x"}}',
      "[" .. table.concat(items, ",") .. "]", '".n > 20"', nil, '"threads":4,"repeat":10')
    assert.is_nil(answer.error)
    assert.equal(180, #answer.entities)
  end)
end)
