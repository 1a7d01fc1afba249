"""2-D poses: pixels, numpy only, no files but pose formats."""
