"""Sinks: where scores and events leave the service."""
