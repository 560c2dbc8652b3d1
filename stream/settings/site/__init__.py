"""The site file: one YAML file that says what to watch. The service knows nothing of it."""
