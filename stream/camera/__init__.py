"""The decoder process of a camera: a URL goes in, clips of 16 frames come out."""
