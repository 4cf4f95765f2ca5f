"""The three-part notice (三联单) that the patient signs at discharge."""
