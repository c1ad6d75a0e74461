"""HTTP as values: headers, requests, answers, conditional requests and ranges."""
