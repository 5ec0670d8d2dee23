"""This machine and this shell: what is checked by `tacdiff doctor`, and what processes inherit."""
