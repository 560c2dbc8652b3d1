"""`mgfn-eval`: evaluates heads as the benchmarks do, and as a live user would experience them."""
