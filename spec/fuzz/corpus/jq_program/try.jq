[.[] | try (if . > 1 then error({at: .}) else . end) catch .at] , (.[5]? // "absent")
[1,2,3]
