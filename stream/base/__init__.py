"""Basics for all packages: errors, logging with redaction, addresses, atomic files, child processes."""
