"""The web page: its files, and the routes that it requests."""
