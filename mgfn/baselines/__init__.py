"""Networks with which the paper compares MGFN, on the same features and trained by the same loop."""
