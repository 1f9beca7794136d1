"""Faults in a served twin: `text` reads rules, `layer` carries them out, `control` changes them while it runs."""
