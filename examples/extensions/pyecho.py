"""The methods of echo.ts, in Python: a method is called with the request, and answers by setting its `data`."""


def Echo(rh):
    rh.data = {"from": rh.RequestingHost(), "data": rh.qs.get("data")}


def Count(rh):
    try:
        last = int(rh.qs.get("data", 3))
        if not 0 <= last <= 1000:
            raise ValueError
    except ValueError:
        rh.status, rh.status_message = 400, "Cannot count to %r: expected 0 to 1000" % rh.qs["data"]
        return
    rh.content_type = "text/plain"
    rh.data = ("%d\n" % n for n in range(1, last + 1))
