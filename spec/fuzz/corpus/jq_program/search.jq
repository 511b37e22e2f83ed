contains({a: [1]}), inside({a: [1, 2, 3], b: 1}), indices(1), ([1, 2, 1, 2] | indices([1, 2]), index(2)), any(.a[]; . > 1), all, (flatten? // 0), transpose?
{"a":[1,2]}
