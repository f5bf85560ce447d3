"""Many boards at a time: the list of what each is to become, and the work on all of them."""
