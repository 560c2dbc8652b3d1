"""Data files: pinned files of others, the default head, training presets."""
