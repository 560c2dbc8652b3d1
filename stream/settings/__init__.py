"""What the user configured: flags and the site file are converted to frozen settings."""
