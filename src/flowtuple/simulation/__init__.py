"""Events at analysis level drawn from generated ones: which objects are found, what they look like, what else is there."""
