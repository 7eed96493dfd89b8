"""One file a command of the path: its steps made, and what became of them shown."""
