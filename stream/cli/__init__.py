"""Entry points: `mgfn-stream`, `mgfn-events`, `--check`, the demo."""
