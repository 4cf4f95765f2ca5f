"""This service's copy of the county registry: where a resident belongs, which institutions there are."""
