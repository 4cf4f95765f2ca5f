"""One door: who you are, what you may touch, then which service. Asks the services over HTTP; hears and says no events.

Run it as ``uvicorn gateway.main:app --http gateway.protocol:BoundedHttp --no-proxy-headers``.
"""
