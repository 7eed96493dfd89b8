"""Commands beside the path: what a size takes, what a character costs, which networks and foldings are best."""
