"""`gradwire loadtest`: many real clients on one worker, counted and drawn by Locust.

Locust runs its users on gevent, which replaces the sockets and threads of its process; the client waits inside of grpcio's C code,
which gevent does not see, so that one waiting client would stop all users. Hence each user drives a process of its own with the
real client in it and only reads what that reports: no client shares another's interpreter lock, and one can be killed like one.
"""
