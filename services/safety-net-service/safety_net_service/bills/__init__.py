"""Bills as they were heard (出院结算单): each waits for its patient, is judged, and judged anew when facts change."""
