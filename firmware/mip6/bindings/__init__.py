"""The Binding Update List: the table of states, one entry, the list, the update, the uplinks."""
