"""What services say to each other: one file per speaker, one class per event, the version in the subject."""
