"""Reading packets for people and programs: `roamkey decode` without its command line.

`captures` and `hextext` give IPv6 packets; `facts.describe` says what one of them says, as a
dictionary that is the JSON form; `render` lays the same dictionary out for a terminal.
"""
