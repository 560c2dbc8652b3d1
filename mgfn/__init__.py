"""MGFN (Chen et al., AAAI 2023) in PyTorch: network, losses, backbones, weights, training, evaluation."""
