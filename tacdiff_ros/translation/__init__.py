"""NOCS maps to tactile images by a network: trained with torch, run with ONNX Runtime."""
