"""What the user asked for: command-line flags and the site file become frozen settings."""
