"""From BuildKit's events to records, and from records to reasons."""
