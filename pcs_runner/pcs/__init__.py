"""Pasqal Cloud Services: the objects users know, and the protocol that the cloud and the twin both keep."""
