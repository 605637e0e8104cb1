"""The operator's routes; mounted only where an authenticator is configured."""
