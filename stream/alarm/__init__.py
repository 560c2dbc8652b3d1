"""Pure: when a score becomes an alarm, and the messages about it."""
