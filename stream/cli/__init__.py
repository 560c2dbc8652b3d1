"""Commands: `mgfn-stream`, `mgfn-events`, `--check`, the demo."""
