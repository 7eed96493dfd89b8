"""How long the steps of the path take, as ratios measured in one run."""
