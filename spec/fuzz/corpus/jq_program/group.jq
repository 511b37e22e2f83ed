group_by(.t) | map({t: .[0].t, n: length, last: max_by(.v).v})
[{"t":"x","v":1},{"t":"y","v":3},{"t":"x","v":2}]
