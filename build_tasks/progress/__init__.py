"""What several builds at once look like while they run; one alone has BuildKit's own display."""
