"""Queries on the archive: what-if, budget of false alarms, drift, explanation, reproduction."""
