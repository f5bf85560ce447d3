"""The other end of greenhouse.py: prints readings and acknowledges them, opens windows."""

import argparse
import json
import socket
import time

PORT = 5006
AGAIN_S = 1.0
BOARDS_MOST = 1000


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", choices=("open", "closed"), help="Say this to each board.")
    wanted = parser.parse_args().window
    line = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    line.bind(("::", PORT))
    line.settimeout(AGAIN_S)
    command = int(time.time())
    moved: dict[str, bool] = {}  # boards that were heard, and whether they did as they were told
    while True:
        try:
            data, (board, port, *_) = line.recvfrom(2048)
            said = json.loads(data)
        except TimeoutError:
            said, board = {}, ""
        except ValueError:
            continue
        if board and isinstance(said, dict):
            if len(moved) < BOARDS_MOST:
                moved.setdefault(board, wanted is None)
            print(board, json.dumps(said), flush=True)
            if "n" in said:
                line.sendto(json.dumps({"ack": said["n"]}).encode(), (board, port))
            if said.get("done") == command and board in moved:
                moved[board] = True
        for one in [one for one, done in moved.items() if not done]:
            order = {"id": command, "window": wanted == "open"}
            line.sendto(json.dumps(order).encode(), (one, PORT))


if __name__ == "__main__":
    main()
