"""What tests share: the graph of imports; nodes, daemons and liars around a correspondent."""
