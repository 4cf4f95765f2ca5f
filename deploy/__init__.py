"""The embedded run and the commands of `make`: one module for each verb, and what they stand on."""
