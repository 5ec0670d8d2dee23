"""Networks that translate NOCS maps to tactile images: trained with torch, run with OpenVINO."""
