"""The default head, trained on real recordings: `make train-default-head`."""
