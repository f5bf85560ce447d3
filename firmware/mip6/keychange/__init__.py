"""How stored keys are read, checked and changed: in memory at the start and while keys change."""
