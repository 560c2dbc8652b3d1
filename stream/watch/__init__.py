"""The scoring loop: takes clips in, keeps windows, scores them, reports what came of it."""
