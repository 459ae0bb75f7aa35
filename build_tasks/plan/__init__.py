"""From options and settings to builds."""
