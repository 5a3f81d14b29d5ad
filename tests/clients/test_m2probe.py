def test_x(site):
    import time
    print(site.url)
    t=0
    while True:
        time.sleep(1)
        import os
        if os.path.exists('/tmp/m2stop'): break
