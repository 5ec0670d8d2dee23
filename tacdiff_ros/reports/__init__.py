"""HTML reports and their images."""
