[(true, false) and (true, null), (false // (null, 5)), (.a or error), (if (.a, .b) then 1 elif .c then 2 end), not]
{"a":true,"b":null}
