"""The `tacdiff` command."""
