"""The register of residents (居民): who belongs to which household and village, with dated poverty and insurance."""
