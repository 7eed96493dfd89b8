"""The arrows of the path, one file each. ``make`` does what is out of date, the steps before it first."""
