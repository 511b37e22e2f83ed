getpath(["a", 0, "b"]), setpath(["a", 1]; 5), delpaths([["a", 0], ["a", 2]]), pick(.a[1].b), [tostream], ([tostream] | fromstream(.[]))
{"a":[{"b":1},{"b":2},3]}
