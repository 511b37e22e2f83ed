-- tide.json: decode (a view), encode, copy (plain tables), object and array (what {} means), null, kind. See
-- runtime/script/json.c.
local core = ...

return core.json
