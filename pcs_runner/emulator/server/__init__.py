"""The twin over HTTP: the endpoints of PCS for anyone's code, without an account and without a network."""
