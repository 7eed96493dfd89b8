"""SpikeGPT in plain PyTorch: configuration, text, units, training, generation."""
