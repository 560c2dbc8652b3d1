"""The decoder process of a camera: takes a URL, produces clips of 16 frames."""
