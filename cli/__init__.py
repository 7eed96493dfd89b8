"""The command ``spikegpt-hls``: every step of the path, each building what it needs."""
