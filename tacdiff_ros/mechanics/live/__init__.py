"""The gel as fast as a stream of poses: linear elasticity, exact contact, fitted correction."""
