"""Data files: pinned third-party files, the default head, training presets."""
