"""Load: the only package that imports Locust."""
