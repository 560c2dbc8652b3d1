"""`mgfn-extract`: converts recordings to feature files, like a replay without a head."""
