"""The reference service's routes and components, one module a resource: what a user replaces first."""
