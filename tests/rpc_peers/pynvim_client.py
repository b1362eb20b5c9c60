"""Takes our server for a Neovim: python3 pynvim_client.py PORT."""

import sys

import pynvim

nvim = pynvim.attach("tcp", address="127.0.0.1", port=int(sys.argv[1]))
assert nvim.channel_id == 5, nvim.channel_id

# A handle of ours is an object of theirs, whose methods are calls of ours.
buffer = nvim.current.buffer
assert isinstance(buffer, pynvim.api.Buffer), buffer
buffer[:] = ["port", "starboard"]
assert buffer[:] == ["port", "starboard"], buffer[:]
assert nvim.eval("6 * 7") == 42

try:
    nvim.command("sail")
    raise AssertionError("the command is unknown")
except pynvim.NvimError as error:
    assert str(error) == "not a command: sail", error

# While its call waits it is called, and calls again before it answers; what it is told comes in order.
heard = []


def asked(method, params):
    assert method == "reverse", method
    return nvim.request("twice", params[0][::-1])


def told(method, params):
    heard.append((method, params))
    if method == "enough":
        nvim.stop_loop()


nvim.request("tell_me", 100, async_=True)
nvim.request("ask_me", "drawer", async_=True)
nvim.run_loop(asked, told)
assert heard[:100] == [("tick", [number]) for number in range(100)], heard
assert heard[100:] == [("enough", ["rewardreward"])], heard[100:]
nvim.close()
print("done")
