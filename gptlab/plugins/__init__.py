"""What can be added to gptlab and by whom: the hooks, the names that they register, and how plugins are found."""
