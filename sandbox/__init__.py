"""BOXES: run an agent somewhere safe. Imports neither bot nor jobs."""
