def test_x(fdmo, tiny, tmp_path):
    import time
    for i in range(2):
        t=time.time(); r = fdmo("train", "--out", tmp_path/f"a{i}", *tiny); print(time.time()-t, r.stdout, r.stderr[-300:])
    for i in range(2):
        t=time.time(); r = fdmo("export", "onnx", tmp_path/f"a{i}", ); print(time.time()-t, r)
    t=time.time(); r = fdmo("config", "show"); print(time.time()-t)
    assert 0
