"""Reads the site file, one YAML file that describes what to watch. Its keys come from the fields in `settings.py`."""
