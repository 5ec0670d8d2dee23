"""Files and runtime of networks, shared by all networks of this package."""
