"""The calendars that others publish, read into ours."""
