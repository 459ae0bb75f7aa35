"""Text made safe and readable: escaping, redaction, formats."""
