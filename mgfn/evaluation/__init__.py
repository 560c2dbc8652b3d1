"""Heads measured as the benchmarks measure them, and as a live user meets them: `mgfn-eval`."""
