"""Local development stack and host; excluded from deployment by `.funcignore`."""
