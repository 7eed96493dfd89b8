"""Steps with typed settings, and the runner that does again what is out of date. Knows no step by name."""
