"""The register of members and shares."""
