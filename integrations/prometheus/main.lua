-- Targets, rules, alerts and metrics of a Prometheus server
-- (https://prometheus.io/docs/prometheus/latest/querying/api/).
--
-- Items are passed on as the API gives them. What the mapping could not work out by itself is added in
-- members that start with "__": identifiers, since the API has none, and what an alert belongs to.
local tide = require "moontide"

local function get(path, query)
  local config = tide.config
  local auth = tide.http.bearer(config.prometheusToken)
  if (config.prometheusUser or "") ~= "" then
    auth = tide.http.basic(config.prometheusUser, config.prometheusPassword)
  end
  local tenant = config.prometheusTenant
  local prometheus = tide.http.client {
    base_url = config.prometheusUrl,
    auth = auth,
    headers = { ["X-Scope-OrgID"] = tenant ~= "" and tenant or nil },
  }
  local answer = assert(prometheus:get("/api/v1/" .. path, query, { expect = "object" })):json()
  if answer.status ~= "success" or not answer.data then
    error(("Prometheus answered %s to %s: %s"):format(answer.status, path, answer.error), 0)
  end
  return answer.data
end

-- An identifier of Port knows fewer characters than a label's value.
local function identifier(...)
  return (table.concat({ ... }, "/"):gsub("[^%w@_.:/=+-]", "-"))
end

local function short_digest(labels)
  local names = {}
  for name in pairs(labels) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = name .. "\0" .. labels[name]
  end
  return tide.crypto.sha256(table.concat(names, "\0")):sub(1, 12)
end

-- Targets that share job and instance (they differ in path or parameters) are told apart by all that was
-- discovered about them.
local targets = tide.cache.memoize(function(state)
  local data, list, count = get("targets", { state = state }), {}, {}
  for _, group in ipairs { data.activeTargets or {}, data.droppedTargets or {} } do
    for _, target in ipairs(group) do
      local labels = target.labels or target.discoveredLabels
      local id = identifier(labels.job or "", labels.instance or labels.__address__ or "")
      count[id] = (count[id] or 0) + 1
      target.__id = id
      list[#list + 1] = target
    end
  end
  for _, target in ipairs(list) do
    if count[target.__id] > 1 then
      target.__id = target.__id .. "/" .. short_digest(target.discoveredLabels)
    end
  end
  return list
end)

-- A group may hold several rules of one name (one a severity, say): the second is NAME/2.
local rules = tide.cache.memoize(function()
  local list, seen = {}, {}
  for _, group in ipairs(get("rules").groups) do
    for _, rule in ipairs(group.rules) do
      local id = identifier(group.name, rule.name)
      seen[id] = (seen[id] or 0) + 1
      rule.__id = seen[id] == 1 and id or id .. "/" .. seen[id]
      rule.__group = { name = group.name, file = group.file, interval = group.interval }
      list[#list + 1] = rule
    end
  end
  return list
end)

tide.on_resync("target", function(_, ctx)
  return targets(ctx.selector.state or "active")
end)

tide.on_resync("rule", function()
  return rules()
end)

-- The rules carry their alerts, so an alert's rule is known for certain; /api/v1/alerts holds the same
-- alerts without it.
tide.on_resync("alert", function()
  local scraped, batch = {}, {}
  for _, target in ipairs(targets "active") do
    scraped[(target.labels.job or "") .. "\0" .. (target.labels.instance or "")] = target.__id
  end
  for _, rule in ipairs(rules()) do
    for _, alert in ipairs(rule.alerts or {}) do
      local labels = alert.labels
      alert.__id = identifier(labels.alertname) .. "/" .. short_digest(labels)
      alert.__rule = rule.__id
      alert.__target = scraped[(labels.job or "") .. "\0" .. (labels.instance or "")]
      batch[#batch + 1] = alert
    end
  end
  return batch
end)

-- Metadata is a list for each name, one element a distinct (type, help, unit) that the targets report.
tide.on_resync("metric", function()
  local batch = {}
  for name, list in pairs(get "metadata") do
    local first = list[1] or {}
    batch[#batch + 1] = { name = name, type = first.type, help = first.help, unit = first.unit, variants = #list }
    if #batch == 500 then
      coroutine.yield(batch)
      batch = {}
    end
  end
  return batch
end)
