"""Networks that the paper compares MGFN with, on the same features and trained by the same loop."""
