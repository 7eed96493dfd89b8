"""What each step of the path does, from typed settings and a workspace. Knows nothing of the command line."""
