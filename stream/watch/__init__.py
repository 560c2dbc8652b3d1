"""The scoring loop: receives clips, keeps windows, scores them, and reports the results."""
