[limit(3; repeat(. * 2))], first(range(5; 0; -2)), isempty(empty), [.[]?], until(. > 100; . * 3), [recurse(if . < 3 then . + 1 else empty end)]
1
