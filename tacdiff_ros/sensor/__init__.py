"""Description of one sensor instance: parameters, files, gel surface and marker grid."""
