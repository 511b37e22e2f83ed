-- tide.config: the values of the integration's configuration by their names in .port/spec.yaml; those marked
-- sensitive are secrets.
local core = ...
local options = require "moontide.options"

local names = core.config_names()
local known = {}
for _, name in ipairs(names) do
  known[name] = true
end

return setmetatable({}, {
  __name = "moontide.config",
  __metatable = "moontide.config",
  __index = function(_, name)
    if not known[name] then
      error(('the configuration has no "%s", which .port/spec.yaml would declare: %s')
        :format(tostring(name), options.advice(name, names)), 2)
    end
    return core.config[name]
  end,
  __newindex = function()
    error("tide.config is read-only: settings come from the environment, config.yaml and .port/spec.yaml", 2)
  end,
  __pairs = function()
    local i = 0
    return function()
      i = i + 1
      return names[i], core.config[names[i]]
    end
  end,
})
