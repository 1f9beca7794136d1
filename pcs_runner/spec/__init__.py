"""From YAML bytes to a `Spec`: pure, and without Pulser."""
