"""Where the files of an event are on the program's HTTP address."""

from __future__ import annotations


def snapshot_url(event_id: str) -> str:
    """Its image."""
    return f"/api/events/{event_id}/snapshot.jpg"


def heat_map_url(event_id: str) -> str:
    """Its image with the heat map over it."""
    return f"/api/events/{event_id}/heat.jpg"


def clip_url(event_id: str) -> str:
    """Its clip."""
    return f"/api/events/{event_id}/clip.mp4"
