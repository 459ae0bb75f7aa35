"""Build records for the terminal, GitHub's step summary, JUnit test views and the browser."""
