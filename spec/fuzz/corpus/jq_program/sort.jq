sort_by(.a, -.b) , unique_by(.a), (map(.b) | sort | reverse)
[{"a":2,"b":1},{"a":1,"b":2},{"a":1,"b":3}]
