"""What every room stands on: errors, logging with redaction, addresses, atomic files, child processes."""
