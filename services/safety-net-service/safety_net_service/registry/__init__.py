"""This service's copy of the county registry: what bills are judged by of residents and institutions."""
