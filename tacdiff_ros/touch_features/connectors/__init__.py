"""Recognition of small connectors from overhead depth views and touches."""
