[range(40) | {key: "k\(. % 25)", value: .}] | from_entries | del(.k3, .k7) | .k9 = [.k8] | [.k24, length, has("k3"), keys[0]]
