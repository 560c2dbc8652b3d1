"""Questions to the archive: what-if, alarm budget, drift, explanation, reproduction."""
