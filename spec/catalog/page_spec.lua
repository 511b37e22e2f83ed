local client = require "spec.catalog.client"
local support = require "spec.support"

describe("the catalog's page", function()
  local catalog

  setup(function()
    catalog = client.start()
    catalog:blueprint "team"
    catalog:blueprint("service", { url = { type = "string", title = "Repository" }, text = { type = "string" },
      list = { type = "array" } }, { owner = { target = "team", title = "Owned by" } })
    local many = {}
    for i = 1, 120 do
      many[i] = { identifier = ("s-%03d"):format(i), title = "Service " .. i }
    end
    catalog:bulk("service", many)
    catalog:bulk("service", { { identifier = "a/b?c&d", title = '<script>alert("1")</script>', team = { "<i>" },
      icon = "<u>",
      properties = { url = "https://x.example/?a=1&b='", text = "javascript:alert(1)<b>", list = { "<b>", 1 } },
      relations = { owner = "<t>" } } }, { agent = "<agent>" })
  end)

  teardown(function()
    assert.equal(0, catalog:stop())
  end)

  local function page(query)
    local answer = support.request("GET", catalog.url .. "/" .. (query or ""))
    assert.matches("^text/html", answer.headers["content-type"])
    return answer.body, answer.status
  end

  it("lists blueprints with counts, without a token", function()
    local html, status = page()
    assert.equal(200, status)
    assert.matches('href="/%?blueprint=service"', html)
    assert.matches("121", html)
    assert.matches("No", page "?blueprint=" )
  end)

  it("needs nothing from elsewhere and runs nothing", function()
    for _, query in ipairs { "", "?blueprint=service", "?blueprint=service&entity=a%2Fb%3Fc%26d" } do
      local html = page(query)
      assert.is_nil(html:match "<script")
      assert.is_nil(html:match "%son%w+=")
      assert.is_nil(html:match "src=")
      assert.is_nil(html:match "@import")
      assert.matches("default%-src 'none'", html)
      assert.matches("prefers%-color%-scheme:dark", html)
    end
  end)

  it("shows entities page by page", function()
    local first, second, third = page "?blueprint=service", page "?blueprint=service&page=2",
      page "?blueprint=service&page=3"
    assert.is_not_nil(first:find("s-049", 1, true))
    assert.is_nil(first:find("s-050", 1, true))
    assert.is_not_nil(second:find("s-050", 1, true))
    assert.is_not_nil(third:find("s-120", 1, true))
    assert.matches("Page 2 of 3", second)
    assert.matches("page=3", second)
    for _, odd in ipairs { "page=99", "page=-1", "page=x", "page=99999999999999999999" } do
      assert.matches("Page [13] of 3", (page("?blueprint=service&" .. odd)))
    end
  end)

  it("escapes all that comes from outside", function()
    local html = page "?blueprint=service&entity=a%2Fb%3Fc%26d"
    assert.is_not_nil(html:find("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;", 1, true))
    for _, raw in ipairs { "<script>alert", "<t>", "<agent>", "<i></", "<u>", "(1)<b>" } do
      assert.is_nil(html:find(raw, 1, true), raw)
    end
    assert.is_not_nil(html:find('href="https://x.example/?a=1&amp;b=&#39;"', 1, true))
    assert.is_nil(html:find('href="javascript', 1, true))
    assert.is_not_nil(html:find('href="/?blueprint=team&amp;entity=%3Ct%3E"', 1, true))
    assert.is_not_nil(html:find("Owned by", 1, true))
  end)

  it("shows from where an entity is related to", function()
    local html = page "?blueprint=team&entity=%3Ct%3E"
    assert.is_not_nil(html:find('href="/?blueprint=service&amp;entity=a%2Fb%3Fc%26d"', 1, true))
  end)

  it("says what is not there, with 404", function()
    local html, status = page "?blueprint=%3Cnone%3E"
    assert.equal(404, status)
    assert.is_not_nil(html:find("&lt;none&gt;", 1, true))
    html, status = page "?blueprint=service&entity=%3Cnone%3E"
    assert.equal(404, status)
    assert.is_not_nil(html:find("&lt;none&gt;", 1, true))
    assert.equal(200, support.request("HEAD", catalog.url .. "/").status)
  end)

  it("shows the last resyncs: state, times, numbers of each kind, errors", function()
    local function state(body)
      catalog:ok("PATCH", "/v1/integration/demo-1/resync-state", body)
    end
    local function metric(event, kind, failed)
      return { integrationIdentifier = "demo-1", eventId = event, kindIdentifier = kind, kind = kind,
        syncState = "completed",
        metrics = { phase = { resync = { duration_seconds = 1.25 },
          extract = { object_count_type = { raw_extracted = { object_count = 12345.0 } } },
          transform = { object_count_type = { failed = { object_count = failed } } } } } }
    end
    assert.matches("None yet", (page()))
    catalog:ok("POST", "/v1/integration", { installationId = "demo-1" })
    state { status = "running", lastResyncStart = "2026-11-23T09:43:28.955285+00:00" }
    assert.matches("http%-equiv=refresh", (page()))
    catalog:ok("POST", "/ingest/metrics/syncMetrics", { syncKindsMetrics = { metric("e1", "<k>-0", 7) } })
    catalog:ok("POST", "/ingest/logs", { logs = { { level = "ERROR", message = "it <broke>", timestamp = "t" },
      { level = "INFO", message = "all is well", timestamp = "t" } } })
    state { status = "failed", lastResyncEnd = "2026-11-23T09:43:31.455285+00:00" }
    local html = page()
    assert.is_nil(html:match "http%-equiv=refresh")
    for _, expected in ipairs { "state failed", "demo-1", "2026-11-23 09:43:28", "2.5 s", "&lt;k&gt;-0",
      "12\u{202F}345", "1.2 s",
      'class="n bad">7', "it &lt;broke&gt;" } do
      assert.is_not_nil(html:find(expected, 1, true), expected)
    end
    assert.is_nil(html:find("all is well", 1, true))
    -- a run that ended without a word is closed by the next one
    state { status = "running", lastResyncStart = "2026-11-24T09:43:28+00:00" }
    state { status = "running", lastResyncStart = "2026-11-25T09:43:28+00:00" }
    state { status = "completed", lastResyncEnd = "2026-11-25T09:43:29+00:00" }
    html = page()
    assert.is_not_nil(html:find("state interrupted", 1, true))
    assert.is_not_nil(html:find("state completed", 1, true))
  end)

  it("keeps the last twenty resyncs of an integration", function()
    for i = 1, 25 do
      catalog:ok("PATCH", "/v1/integration/demo-1/resync-state",
        { status = "completed", lastResyncEnd = ("2026-12-%02dT00:00:00+00:00"):format(i) })
    end
    local html = page()
    assert.is_not_nil(html:find("2026-12-25", 1, true))
    assert.equal(10, select(2, html:gsub("<details", "")))
  end)
end)
