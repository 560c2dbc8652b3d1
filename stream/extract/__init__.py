"""`mgfn-extract`: recordings to feature files; a replay without a head."""
