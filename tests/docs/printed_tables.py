"""What is run in place of a printed line, and why: see test_printed_lines.py.

`PORT` stands for the board's serial port.
"""

#: In place of a line, and why.
INSTEAD = {
    # README
    "make demo": ("make -n demo", "tests/lab/test_demo.py tells its story"),
    "make test": ("make -n test", "this is a part of it"),
    "make test-slow": ("make -n test-slow", "this is a part of it"),
    "make bench": ("make -n bench", "minutes"),
    "make fuzz": ("make -n fuzz", "hours"),
    "make size": ("make -n size", "it builds for all platforms, as tests/build does"),
    ".venv/bin/roamkey flash RPI_PICO_W.uf2": (
        "printf none > RPI_PICO_W.uf2; .venv/bin/roamkey flash RPI_PICO_W.uf2; test $? = 1",
        "a virtual board takes no firmware (tests/board writes it to others): here a file that "
        "is none",
    ),
    "roamkey batch fleet.csv": (
        "printf 'name,board\\none,ffff\\n' > fleet.csv; "
        "roamkey batch fleet.csv --wait 0; test $? = 3",
        "the board is provisioned: a fleet whose board isn't plugged in",
    ),
    "roamkey seal": ("roamkey seal && roamkey unseal", "lines after it change the board"),
    ".venv/bin/roamkey lab walk campus --out walk-out": (
        'printf \'every_s = 0.1\\ndad = false\\n[[step]]\\nmove = "visited1"\\nstay_s = 1.0\\n'
        '[[step]]\\nmove = "visited2"\\nstay_s = 1.0\\n\' > short.toml && '
        ".venv/bin/roamkey lab walk short.toml --out walk-out",
        "a short walk in place of minutes; tests/lab/test_walk.py walks on",
    ),
    ".venv/bin/roamkey decode demo-out/demo.pcap --registry demo-out/registry.sqlite": (
        ".venv/bin/roamkey decode walk-out/way.pcap --registry walk-out/registry.sqlite",
        "the walk's capture, since the demo isn't run here",
    ),
    # APPLICATIONS, DESIGN
    "roamkey app put my.py": (
        "cp firmware/examples/sensor.py my.py && roamkey app put my.py",
        "a program to be written; tests/journeys/test_developer.py puts the one that is printed",
    ),
    "roamkey app run my.py": ("roamkey app run my.py --for 3s", "goes on for ever"),
    "roamkey unseal": ("roamkey seal && roamkey unseal", "the board isn't sealed"),
    "roamkey lab run python3 receiver.py": (
        "roamkey lab run python3 --version",
        "goes on for ever; tests/journeys/test_developer.py has it receive",
    ),
    "roamkey lab down": ("roamkey lab down --help", "lines after it want the playground"),
    "make docs": ("make -n docs", "tests/test_state_table.py compares what it makes"),
    "make test-esp32": (
        "ESP32_FIRMWARE=x ESP32_QEMU=x make -n test-esp32",
        "wants an emulator from elsewhere",
    ),
    "make handover-esp32": (
        "ESP32_FIRMWARE=x ESP32_QEMU=x make -n handover-esp32",
        "wants an emulator from elsewhere",
    ),
    "make test-pico-w": ("PICO_W_UF2=x make -n test-pico-w", "wants a firmware from elsewhere"),
    "roamkey log": ("roamkey log pull --out log.jsonl", "a group of commands"),
    "mpremote romfs deploy": ("mpremote romfs --help", "not ours"),
    # INSTALLING
    "make venv": ("make -n venv", "this runs in one"),
    "pipx install '.[flash,page]'": (
        "grep -q '^flash = ' pyproject.toml && grep -q '^page = ' pyproject.toml",
        "wants the package index: that there are such extras",
    ),
    "sudo adduser $USER dialout": ("getent group dialout", "accounts are the host's"),
    "sudo python3 -m venv /opt/roamkey": ("python3 -m venv --help", "/opt is the host's"),
    "sudo /opt/roamkey/bin/pip install '.[postgresql]'": (
        "grep -q '^postgresql = ' pyproject.toml",
        "wants the package index: that there is such an extra",
    ),
    "sudo ln -s /opt/roamkey/bin/roamkey /usr/local/bin/roamkey": (
        "sudo ln -s /opt/roamkey/bin/roamkey roamkey-link",
        "/usr/local is the host's",
    ),
    "roamkey provision --home-address 2001:db8:a::7 --correspondent 2001:db8:c::2": (
        "roamkey provision --replace --home-address 2001:db8:a::7 --correspondent 2001:db8:c::2",
        "the board has keys by then",
    ),
    "roamkey networks set": ("roamkey networks set --help", "a virtual board has no Wi-Fi"),
    # LIFECYCLE, which tests/journeys/test_operator.py runs from top to bottom
    "roamkey install --port /dev/ttyACM0": ("roamkey install --port PORT", "a port"),
    "roamkey provision --port /dev/ttyACM0 --name boiler-3": (
        "roamkey provision --replace --port PORT --name boiler-3",
        "the board has keys by then",
    ),
    "sudo roamkey correspondent run": (
        "timeout 60 sudo roamkey correspondent run; test $? = 5",
        "README's daemon serves the address still: refused",
    ),
    "roamkey node run": ("roamkey node run --help", "as the next"),
    "sudo roamkey node run --uplink eth0 --uplink wlan0": (
        "roamkey node run --help",
        "goes on for ever, on a machine that moves: tests/correspondent/test_node_run.py runs it",
    ),
    "sudo roamkey provision --port /var/lib/roamkey-node/console": (
        "roamkey provision --help",
        "that machine's port; the same test provisions it",
    ),
    "roamkey rekey --port /dev/ttyACM0": ("roamkey rekey --port PORT", "a port"),
    "roamkey provision --port /dev/ttyACM0 --name boiler-north": (
        "roamkey provision --replace --port PORT --name boiler-north",
        "the new board is the one before",
    ),
    "roamkey registry restore nightly.sqlite": (
        "roamkey registry restore nightly.sqlite --registry again.sqlite --advance 1",
        "the registry that is served stays",
    ),
    "roamkey registry restore nightly.sqlite --advance 5000": (
        "roamkey registry restore nightly.sqlite --registry again.sqlite --advance 5000",
        "likewise",
    ),
    "roamkey registry restore nightly.sqlite --retire": (
        "roamkey registry restore nightly.sqlite --registry again.sqlite --retire",
        "likewise",
    ),
    "roamkey erase --port /dev/ttyACM0 --yes": (
        "roamkey erase --port PORT --yes && roamkey provision",
        "lines after it want keys",
    ),
    # LIMITS
    "roamkey erase": ("roamkey erase --yes && roamkey provision", "lines after it want keys"),
    "roamkey registry encrypt": (
        "roamkey registry backup plain.sqlite && (umask 077; echo a long passphrase > words) && "
        "roamkey registry encrypt --registry plain.sqlite --passphrase-file words",
        "a copy: daemons go on with the other",
    ),
    "mpremote fs rm :/boot.py": ("mpremote fs --help", "not ours"),
    "roamkey flash": ("roamkey flash --help", "as above"),
    "roamkey lab esp32": ("roamkey lab esp32 --help", "wants an emulator from elsewhere"),
    "roamkey lab pico-w": ("roamkey lab pico-w --help", "wants a firmware from elsewhere"),
    # OPERATING
    "roamkey correspondent unit > /etc/systemd/system/roamkey-correspondent@.service": (
        "roamkey correspondent unit > roamkey-correspondent@.service",
        "/etc is the host's",
    ),
    "roamkey provision --registry /var/lib/roamkey/registry.sqlite ...": (
        "roamkey init --registry lib.sqlite && "
        "roamkey provision --replace --registry lib.sqlite && roamkey provision --replace",
        "/var/lib is the host's; and back to the registry that is served",
    ),
    "roamkey init --reach …": ("roamkey init --reach 203.0.113.2", "a place"),
    "roamkey reach --port …": ("roamkey reach --port PORT", "a port"),
    "roamkey init --home-agent ADDRESS": ("roamkey init --home-agent 2001:db8:a::fe", "a place"),
    "roamkey init --force": (
        "roamkey init --force --registry lib.sqlite",
        "other addresses: of a registry that nobody serves",
    ),
    "tcpdump -n ip6 proto 60 or ip6 proto 135 or udp port 4191": (
        "! command -v tcpdump || tcpdump -d 'ip6 proto 60 or ip6 proto 135 or udp port 4191'",
        "goes on for ever: that the filter can be said",
    ),
    "roamkey retire": (
        "roamkey retire --home-address 2001:db8:a::99 --yes; test $? = 4",
        "lines after it want keys: a board that nobody has",
    ),
    "roamkey provision --port … --correspondent 2001:db8:c::2 --home-agent 2001:db8:a::fe "
    "--return-routability 2001:db8:d::5": (
        "roamkey provision --replace --port PORT --correspondent 2001:db8:c::2 "
        "--home-agent 2001:db8:a::fe --return-routability 2001:db8:d::5",
        "the board has keys by then",
    ),
    "roamkey doctor --port … --path": (
        "roamkey doctor --port PORT --path",
        "the port",
    ),
    "roamkey registry backup FILE": ("roamkey registry backup backup.sqlite", "a file"),
    "roamkey registry restore FILE": (
        "roamkey registry restore backup.sqlite --registry restored.sqlite --advance 100",
        "the registry that is served stays",
    ),
    "roamkey correspondent events [--node NODE] [--since WHEN] [--follow] [--json]": (
        "roamkey correspondent events --node 2001:db8:a::7 --since 1h --json",
        "what may be left out",
    ),
    "roamkey lab up": ("roamkey lab up; test $? = 4", "one is up"),
    "roamkey field report": ("roamkey field report walk-out", "a folder"),
    "roamkey field record walk": (
        "roamkey field record walk --for 2s && roamkey log pull --out walk/board.jsonl && "
        "roamkey correspondent events --json > walk/events.json",
        "it goes on until Ctrl-C, then says what to do for the other logs",
    ),
    "roamkey field report walk --since 2h --network 2001:db8:1::/64=office --compare last-week": (
        "cp -r walk last-week && roamkey field report walk --since 2h "
        "--network 2001:db8:1::/64=office --compare last-week",
        "there was no walk last week",
    ),
    "roamkey field report FOLDER": ("roamkey field report walk-out", "a folder"),
    "roamkey setup --wifi depot --lifetime 1h": (
        "roamkey setup --help",
        "a virtual board has no Wi-Fi",
    ),
    "roamkey flash FILE": ("roamkey flash --help", "as above"),
    "roamkey batch": ("roamkey batch --help", "as above"),
}

#: What isn't run at all, and why. None of it is a command of roamkey.
NOT_RUN = {
    "systemctl enable --now roamkey-correspondent@2001:db8:c::2.service": "no systemd in here",
    "ssh -L 8080:[::1]:8080 HOST": "no other host",
    "pg_dump --format=custom --file=roamkey.dump roamkey": "PostgreSQL's: tests/registry has it",
    "pg_restore --clean --if-exists --dbname=roamkey roamkey.dump": "likewise",
    "roamkey marks 1": "the first line of a file of marks, no command",
}

#: What goes on until it is ended: on which host (None: in the shell), what is run, and what it
#: says when it is there.
GOES_ON = {
    "sudo .venv/bin/roamkey correspondent run": (
        None, "sudo .venv/bin/roamkey correspondent run", "ready",
    ),
    ".venv/bin/roamkey correspondent page": (
        None, ".venv/bin/roamkey correspondent page", "http://",
    ),
    "roamkey correspondent page": (
        None, "roamkey correspondent page --listen [::1]:8081", "http://",
    ),
    "roamkey lab board node.img": (None, "roamkey lab board node.img", "/dev/pts/"),
    "roamkey lab board node.img --install": (
        None, "roamkey lab board installed.img --install", "/dev/pts/",
    ),
    "sudo roamkey home-agent run --address 2001:db8:a::fe": (
        "agent", "sudo roamkey home-agent run --address 2001:db8:a::fe", "ready",
    ),
    "sudo roamkey correspondent run --address ADDRESS": (
        "keyless",
        "sudo roamkey correspondent run --address 2001:db8:d::2 --registry lib.sqlite",
        "ready",
    ),
}  # fmt: skip

#: What is run before a line of that beginning.
BEFORE = {
    "nft add rule": "nft add table inet filter; nft add chain inet filter input "
    "'{ type filter hook input priority 0; }'",
}
