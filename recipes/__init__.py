"""Recipes: how what ships with the project was made. Not installed."""
