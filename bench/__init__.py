"""Figures, measured as ratios in one run where that is possible. `python -m bench` prints them all."""
