"""Studies: a plan of points, run so that nothing finished is lost or done twice, merged to one file, read as a table.

The function that evaluates points is an argument: nothing in here knows of chips or networks.
"""
