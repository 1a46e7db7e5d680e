"""linkpred."""
