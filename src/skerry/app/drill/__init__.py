"""`skerry drill`: a throw-away region that is cut off, and what went on working."""
