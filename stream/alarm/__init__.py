"""Pure: when a score becomes an alarm, and what is said of it."""
