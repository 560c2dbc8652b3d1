"""The default head: from recordings to `configs/heads/default.safetensors`."""
