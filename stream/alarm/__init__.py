"""When a score becomes an alarm, and the messages about it. No input, no output, no clock."""
