"""The paper's tables on the recordings of `../shared/data`: source-disjoint folds, several seeds, one command each."""
