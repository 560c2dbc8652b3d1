"""The previous default head, from composed streams of two-second clips (docs/benchmarks/previous-head.md)."""
