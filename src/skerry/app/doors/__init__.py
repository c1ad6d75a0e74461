"""The doors that clients come to, in one process or in several."""
