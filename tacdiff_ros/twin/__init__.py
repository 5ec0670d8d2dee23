"""Digital twin: simulation of the calibrated sensor in parallel to the real one."""
