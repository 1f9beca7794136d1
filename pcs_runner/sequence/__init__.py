"""From the `sequence` of a spec to a Pulser sequence: relaxed form, abstract representation, devices, diagnosis."""
