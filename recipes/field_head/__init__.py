"""The default head, learnt from real recordings: `make train-default-head`."""
