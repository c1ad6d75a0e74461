"""The pages an operator looks at."""
