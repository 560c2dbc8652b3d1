"""Data files: pinned weights, the default head, training presets."""
