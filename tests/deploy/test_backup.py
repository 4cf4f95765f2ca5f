"""A backup is whole or it is none, private, and read by nobody but its own house; a restore changes nothing before it is sure."""
