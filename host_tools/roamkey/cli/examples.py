"""Examples of each command, as people type them: shown below its help.

A test has the parser read every one of them.
"""

_PORT = "--port /dev/ttyACM0"

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("roamkey init", "roamkey init --reach sensors.example.org"),
    "setup": (
        f"roamkey setup --firmware RPI_PICO_W.uf2 {_PORT}",
        f"roamkey setup {_PORT}",
    ),
    "batch": (
        "roamkey batch fleet.csv --firmware RPI_PICO_W.uf2 --labels labels.html",
        "roamkey batch fleet.csv",
    ),
    "completion": (
        'eval "$(roamkey completion bash)"',
        "roamkey completion bash > ~/.local/share/bash-completion/completions/roamkey",
        "roamkey completion zsh > ~/.zfunc/_roamkey",
        "roamkey completion fish > ~/.config/fish/completions/roamkey.fish",
    ),
    "boards": ("roamkey boards",),
    "doctor": (f"roamkey doctor {_PORT}", f"roamkey doctor {_PORT} --path"),
    "flash": (
        "roamkey flash RPI_PICO_W.uf2",
        "roamkey flash ESP32_GENERIC.bin --port /dev/ttyUSB0",
    ),
    "install": (
        f"roamkey install {_PORT}",
        f"roamkey install --app sensor.py {_PORT}",
        f"roamkey install --rollback {_PORT}",
    ),
    "status": (f"roamkey status {_PORT}", "roamkey status --board e661 --json"),
    "networks list": (f"roamkey networks list {_PORT}",),
    "networks set": (
        f"roamkey networks set Depot --password-file wifi.txt {_PORT}",
        f"roamkey networks set Depot --password-file - --priority 1 {_PORT} < wifi.txt",
    ),
    "networks remove": (f"roamkey networks remove Depot {_PORT}",),
    "app put": ("roamkey app put sensor.py", f"roamkey app put sensor.py {_PORT} --json"),
    "app run": ("roamkey app run sensor.py",),
    "app log": ("roamkey app log", "roamkey app log --follow"),
    "app status": (f"roamkey app status {_PORT}",),
    "app start": (f"roamkey app start {_PORT}",),
    "app stop": (f"roamkey app stop {_PORT}",),
    "app get": ("roamkey app get > sensor.py", "roamkey app get sensor.py"),
    "app remove": (f"roamkey app remove {_PORT}",),
    "seal": (f"roamkey seal {_PORT}",),
    "unseal": (f"roamkey unseal {_PORT}",),
    "provision": (
        f"roamkey provision {_PORT}",
        f"roamkey provision {_PORT} --home-address fd00:a::17 --correspondent fd00:c::1",
    ),
    "rekey": (f"roamkey rekey {_PORT}", f"roamkey rekey --generations 4 {_PORT}"),
    "reach": (
        f"roamkey reach --reach sensors.example.org {_PORT}",
        f"roamkey reach --no-reach {_PORT}",
    ),
    "nodes": ("roamkey nodes", "roamkey nodes --quiet-for 1h --json"),
    "rename": (
        "roamkey rename fd00:a::17 cold-store-3",
        "roamkey rename cold-store-3 --none",
    ),
    "erase": (f"roamkey erase {_PORT}",),
    "retire": ("roamkey retire --home-address fd00:a::17",),
    "registry info": ("roamkey registry info",),
    "registry encrypt": ("roamkey registry encrypt --passphrase-file passphrase",),
    "registry backup": ("roamkey registry backup monday.sqlite",),
    "registry restore": (
        "roamkey registry restore monday.sqlite",
        "roamkey registry restore monday.sqlite --advance 2000",
    ),
    "registry passphrase": ("roamkey registry passphrase --passphrase-file old --new-file new",),
    "export": (
        "roamkey export pairs --file-passphrase secret",
        "roamkey export pairs --file-passphrase secret --correspondent fd00:c::1",
    ),
    "import": ("roamkey import pairs --file-passphrase secret",),
    "correspondent status": ("roamkey correspondent status",),
    "correspondent drops": ("roamkey correspondent drops",),
    "correspondent path": ("roamkey correspondent path",),
    "correspondent unit": (
        "roamkey correspondent unit > /etc/systemd/system/roamkey-correspondent@.service",
    ),
    "correspondent events": (
        "roamkey correspondent events --since 1h",
        "roamkey correspondent events --node fd00:a::17 --follow",
    ),
    "correspondent page": (
        "roamkey correspondent page",
        "roamkey correspondent page --listen [::]:8080",
    ),
    "correspondent monitoring": ("roamkey correspondent monitoring alerts > roamkey.yml",),
    "correspondent run": (
        "sudo roamkey correspondent run",
        "roamkey correspondent run --address fd00:c::1 --no-data-plane",
    ),
    "correspondent bindings": ("roamkey correspondent bindings",),
    "home-agent status": ("roamkey home-agent status",),
    "home-agent drops": ("roamkey home-agent drops",),
    "home-agent unit": (
        "roamkey home-agent unit > /etc/systemd/system/roamkey-home-agent@.service",
    ),
    "home-agent events": ("roamkey home-agent events --since 1h",),
    "home-agent run": ("sudo roamkey home-agent run --home-link eth1",),
    "home-agent bindings": ("roamkey home-agent bindings",),
    "node run": (
        "sudo roamkey node run --uplink eth0 --uplink wlan0",
        "sudo roamkey node run --state /srv/node --data-plane tun",
    ),
    "decode": (
        "roamkey decode walk.pcap",
        "roamkey decode walk.pcap --registry registry.sqlite --json",
        "tcpdump -xx -r walk.pcap | roamkey decode",
    ),
    "log pull": (
        f"roamkey log pull {_PORT} --out walk/board.jsonl",
        "roamkey log pull --air fd00:a::17 --out walk/board.jsonl",
    ),
    "field record": (
        "roamkey field record walk",
        "roamkey field record walk --for 1h --node fd00:a::17",
    ),
    "field report": (
        "roamkey field report walk",
        "roamkey field report walk --since 2h --network 2001:db8:1::/64=office",
        "roamkey field report after --compare before --out report",
    ),
    "lab up": ("roamkey lab up", "roamkey lab up --bare"),
    "lab status": ("roamkey lab status",),
    "lab move": ("roamkey lab move cafe",),
    "lab cut": ("roamkey lab cut --for 5",),
    "lab run": ("roamkey lab run --on correspondent ip -6 route",),
    "lab shell": ("roamkey lab shell",),
    "lab down": ("roamkey lab down",),
    "lab demo": ("roamkey lab demo --out demo-out",),
    "lab board": (
        "roamkey lab board node.img",
        "roamkey lab board --install --flash esp32 node.img",
    ),
    "lab esp32": ("roamkey lab esp32 --firmware firmware.bin --emulator qemu-system-riscv32",),
    "lab pico-w": ("roamkey lab pico-w --uf2 RPI_PICO_W.uf2 --network Depot",),
    "lab walk": ("roamkey lab walk campus --out walk-out",),
}


def below(path: str) -> str:
    """What stands below the help of a command, from its path with `roamkey` in front."""
    lines = EXAMPLES.get(path.partition(" ")[2], ())
    return "\n\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
