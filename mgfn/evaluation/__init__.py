"""`mgfn-eval`: evaluates heads with the published protocols, and as a live user would experience them."""
