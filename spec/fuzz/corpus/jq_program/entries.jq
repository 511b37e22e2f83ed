with_entries(.key |= ascii_upcase | select(.value != null)), map_values(. // empty), keys, (to_entries | from_entries)
{"b":1,"a":null,"c":[2]}
