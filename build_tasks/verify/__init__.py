"""Does an image hold what it says? A suite of pytest that runs against any image."""
