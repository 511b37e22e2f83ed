walk(if type == "object" then del(.x) elif type == "array" then sort else . end), [leaf_paths], [..]
{"x":1,"y":[3,{"x":2},1]}
