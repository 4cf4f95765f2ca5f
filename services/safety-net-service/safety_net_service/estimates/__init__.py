"""Estimates (试算): what a bill would be settled as by what is known now; nothing of it is kept."""
