def f: 1; def g(f): def h: f; [h, f]; g(f + 1) as [$a, $b] | {$a, $b, c: f}
