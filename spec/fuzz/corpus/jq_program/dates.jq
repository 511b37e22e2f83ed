strptime("%Y-%m-%dT%H:%M:%SZ") | ., mktime, todate
"2015-03-05T23:51:47Z"
