"""Training and evaluation on clip features."""
