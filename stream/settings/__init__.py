"""Converts what the user configured, with flags or the site file, to frozen settings."""
