"""Basics for all rooms: errors, logging with redaction, addresses, atomic files, child processes."""
