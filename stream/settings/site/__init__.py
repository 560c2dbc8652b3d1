"""The site file: one YAML file that describes what to watch. The rest of the service does not depend on it."""
