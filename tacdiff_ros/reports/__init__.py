"""HTML reports and their pictures."""
