"""A stand-in of Modal's control plane, for tests. (The table of what it knows and what it assumes comes here.)"""
