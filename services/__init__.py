"""Task handlers and what they need. Heavy libraries are imported where they are used: cold start counts."""
