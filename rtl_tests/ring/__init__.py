"""The ring, and weights in a memory outside: against PyTorch, against the cycle simulator, and with faults."""
