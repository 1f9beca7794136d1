"""The twin of PCS on this machine: the same protocol over an embedded store and a pool of workers."""
