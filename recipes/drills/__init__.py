"""Drills: what becomes of the running service when cameras, brokers, disks, decoders and engines fail."""
