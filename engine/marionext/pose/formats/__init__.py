"""Files that hold 2-D poses."""
