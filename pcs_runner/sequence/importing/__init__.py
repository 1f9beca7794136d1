"""A Pulser sequence -> the keys of a spec, as a person would write them."""
